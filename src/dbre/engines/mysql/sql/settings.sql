-- Server parameters.

-- name: settings
-- facet: settings
-- products: mariadb
-- versions: >=10.5
-- privilege: USAGE
SELECT LOWER(v.VARIABLE_NAME) AS name,
       v.GLOBAL_VALUE AS value,
       v.DEFAULT_VALUE AS default_value,
       v.GLOBAL_VALUE_ORIGIN AS source,
       v.GLOBAL_VALUE_PATH AS source_file,
       v.READ_ONLY AS is_static,
       v.COMMAND_LINE_ARGUMENT AS command_line
  FROM information_schema.SYSTEM_VARIABLES AS v
 WHERE v.VARIABLE_SCOPE <> 'SESSION ONLY'
 ORDER BY name;

-- name: settings
-- facet: settings
-- products: mysql
-- versions: >=8.0
-- privilege: USAGE
SELECT v.VARIABLE_NAME AS name,
       v.VARIABLE_VALUE AS value,
       NULL AS default_value,
       i.VARIABLE_SOURCE AS source,
       i.VARIABLE_PATH AS source_file,
       NULL AS is_static,
       NULL AS command_line
  FROM performance_schema.global_variables AS v
  LEFT JOIN performance_schema.variables_info AS i ON i.VARIABLE_NAME = v.VARIABLE_NAME
 ORDER BY v.VARIABLE_NAME;

-- name: setting_detail
-- facet: settings
-- products: mariadb
-- versions: >=10.5
-- privilege: USAGE
-- parameters: name text
SELECT LOWER(v.VARIABLE_NAME) AS name,
       v.VARIABLE_SCOPE AS scope,
       v.VARIABLE_TYPE AS kind,
       v.GLOBAL_VALUE AS value,
       v.DEFAULT_VALUE AS default_value,
       v.GLOBAL_VALUE_ORIGIN AS source,
       v.NUMERIC_MIN_VALUE AS minimum,
       v.NUMERIC_MAX_VALUE AS maximum,
       v.NUMERIC_BLOCK_SIZE AS block_size,
       v.ENUM_VALUE_LIST AS words,
       v.READ_ONLY AS is_static
  FROM information_schema.SYSTEM_VARIABLES AS v
 WHERE v.VARIABLE_NAME = UPPER(?);
