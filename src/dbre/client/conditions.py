"""Names of PostgreSQL's conditions, as drivers call their exceptions, and of exceptions without a code.

OpenTelemetry's instrumentations tell the class of an exception and no SQLSTATE: the name says the same.
"""

__all__ = ["BAD_CONDITIONS", "BAD_EXCEPTIONS", "INVALID_CONDITIONS", "INVALID_EXCEPTIONS"]

BAD_CONDITIONS = frozenset(
    {
        "AdminShutdown", "CannotConnectNow", "ConfigurationLimitExceeded", "ConnectionDoesNotExist",
        "ConnectionException", "ConnectionFailure", "CrashShutdown", "DataCorrupted", "DatabaseDropped",
        "DeadlockDetected", "DiskFull", "DuplicateFile", "FileNameTooLong", "IdleInTransactionSessionTimeout",
        "IdleSessionTimeout", "IndexCorrupted", "InsufficientResources", "InternalError_", "IoError",
        "LockNotAvailable", "OperatorIntervention", "OutOfMemory", "ProtocolViolation", "QueryCanceled",
        "ReadOnlySqlTransaction", "SerializationFailure", "SqlclientUnableToEstablishSqlconnection",
        "SqlserverRejectedEstablishmentOfSqlconnection", "StatementCompletionUnknown", "SystemError",
        "TooManyConnections", "TransactionIntegrityConstraintViolation", "TransactionResolutionUnknown",
        "TransactionRollback", "TransactionTimeout", "UndefinedFile",
    }
)  # fmt: skip
"""In the writing of psycopg; asyncpg appends ``Error``. A test compares them with the codes."""

INVALID_CONDITIONS = frozenset(
    {
        "ActiveSqlTransaction", "AmbiguousAlias", "AmbiguousColumn", "AmbiguousFunction", "AmbiguousParameter",
        "ArraySubscriptError", "AssertFailure", "BadCopyFileFormat", "BranchTransactionAlreadyActive", "CannotCoerce",
        "CantChangeRuntimeParam", "CardinalityViolation", "CaseNotFound", "CharacterNotInRepertoire",
        "CheckViolation", "CollationMismatch", "ConfigFileError", "ContainingSqlNotPermitted", "DataException",
        "DatatypeMismatch", "DatetimeFieldOverflow", "DependentObjectsStillExist",
        "DependentPrivilegeDescriptorsStillExist", "DiagnosticsException", "DivisionByZero", "DuplicateAlias",
        "DuplicateColumn", "DuplicateCursor", "DuplicateDatabase", "DuplicateFunction", "DuplicateJsonObjectKeyValue",
        "DuplicateObject", "DuplicatePreparedStatement", "DuplicateSchema", "DuplicateTable", "ErrorInAssignment",
        "EscapeCharacterConflict", "EventTriggerProtocolViolated", "ExclusionViolation", "ExternalRoutineException",
        "ExternalRoutineInvocationException", "FdwColumnNameNotFound", "FdwDynamicParameterValueNeeded", "FdwError",
        "FdwFunctionSequenceError", "FdwInconsistentDescriptorInformation", "FdwInvalidAttributeValue",
        "FdwInvalidColumnName", "FdwInvalidColumnNumber", "FdwInvalidDataType", "FdwInvalidDataTypeDescriptors",
        "FdwInvalidDescriptorFieldIdentifier", "FdwInvalidHandle", "FdwInvalidOptionIndex", "FdwInvalidOptionName",
        "FdwInvalidStringFormat", "FdwInvalidStringLengthOrBufferLength", "FdwInvalidUseOfNullPointer",
        "FdwNoSchemas", "FdwOptionNameNotFound", "FdwOutOfMemory", "FdwReplyHandle", "FdwSchemaNotFound",
        "FdwTableNotFound", "FdwTooManyHandles", "FdwUnableToCreateExecution", "FdwUnableToCreateReply",
        "FdwUnableToEstablishConnection", "FeatureNotSupported", "FloatingPointException", "ForeignKeyViolation",
        "FunctionExecutedNoReturnStatement", "GeneratedAlways", "GroupingError",
        "HeldCursorRequiresSameIsolationLevel", "InFailedSqlTransaction",
        "InappropriateAccessModeForBranchTransaction", "InappropriateIsolationLevelForBranchTransaction",
        "IndeterminateCollation", "IndeterminateDatatype", "IndicatorOverflow", "InsufficientPrivilege",
        "IntegrityConstraintViolation", "IntervalFieldOverflow", "InvalidArgumentForLogarithm",
        "InvalidArgumentForNthValueFunction", "InvalidArgumentForNtileFunction", "InvalidArgumentForPowerFunction",
        "InvalidArgumentForSqlJsonDatetimeFunction", "InvalidArgumentForWidthBucketFunction",
        "InvalidArgumentForXquery", "InvalidAuthorizationSpecification", "InvalidBinaryRepresentation",
        "InvalidCatalogName", "InvalidCharacterValueForCast", "InvalidColumnDefinition", "InvalidColumnReference",
        "InvalidCursorDefinition", "InvalidCursorName", "InvalidCursorState", "InvalidDatabaseDefinition",
        "InvalidDatetimeFormat", "InvalidEscapeCharacter", "InvalidEscapeOctet", "InvalidEscapeSequence",
        "InvalidForeignKey", "InvalidFunctionDefinition", "InvalidGrantOperation", "InvalidGrantor",
        "InvalidIndicatorParameterValue", "InvalidJsonText", "InvalidLocatorSpecification", "InvalidName",
        "InvalidObjectDefinition", "InvalidParameterValue", "InvalidPassword", "InvalidPrecedingOrFollowingSize",
        "InvalidPreparedStatementDefinition", "InvalidRecursion", "InvalidRegularExpression",
        "InvalidRoleSpecification", "InvalidRowCountInLimitClause", "InvalidRowCountInResultOffsetClause",
        "InvalidSavepointSpecification", "InvalidSchemaDefinition", "InvalidSchemaName", "InvalidSqlJsonSubscript",
        "InvalidSqlStatementName", "InvalidSqlstateReturned", "InvalidTableDefinition", "InvalidTablesampleArgument",
        "InvalidTablesampleRepeat", "InvalidTextRepresentation", "InvalidTimeZoneDisplacementValue",
        "InvalidTransactionInitiation", "InvalidTransactionState", "InvalidTransactionTermination",
        "InvalidUseOfEscapeCharacter", "InvalidXmlComment", "InvalidXmlContent", "InvalidXmlDocument",
        "InvalidXmlProcessingInstruction", "LocatorException", "LockFileExists", "ModifyingSqlDataNotPermitted",
        "ModifyingSqlDataNotPermittedExt", "MoreThanOneSqlJsonItem", "MostSpecificTypeMismatch", "NameTooLong",
        "NoActiveSqlTransaction", "NoActiveSqlTransactionForBranchTransaction",
        "NoAdditionalDynamicResultSetsReturned", "NoData", "NoDataFound", "NoSqlJsonItem", "NonNumericSqlJsonItem",
        "NonUniqueKeysInAJsonObject", "NonstandardUseOfEscapeCharacter", "NotAnXmlDocument", "NotNullViolation",
        "NullValueNoIndicatorParameter", "NullValueNotAllowed", "NullValueNotAllowedExt", "NumericValueOutOfRange",
        "ObjectInUse", "ObjectNotInPrerequisiteState", "PlpgsqlError", "ProgramLimitExceeded",
        "ProhibitedSqlStatementAttempted", "ProhibitedSqlStatementAttemptedExt", "RaiseException",
        "ReadingSqlDataNotPermitted", "ReadingSqlDataNotPermittedExt", "ReservedName", "RestrictViolation",
        "SavepointException", "SchemaAndDataStatementMixingNotSupported", "SequenceGeneratorLimitExceeded",
        "SingletonSqlJsonItemRequired", "SnapshotTooOld", "SqlJsonArrayNotFound",
        "SqlJsonItemCannotBeCastToTargetType", "SqlJsonMemberNotFound", "SqlJsonNumberNotFound",
        "SqlJsonObjectNotFound", "SqlJsonScalarRequired", "SqlRoutineException", "SqlStatementNotYetComplete",
        "SrfProtocolViolated", "StackedDiagnosticsAccessedWithoutActiveHandler", "StatementTooComplex",
        "StringDataLengthMismatch", "StringDataRightTruncation", "SubstringError", "SyntaxError",
        "SyntaxErrorOrAccessRuleViolation", "TooManyArguments", "TooManyColumns", "TooManyJsonArrayElements",
        "TooManyJsonObjectMembers", "TooManyRows", "TriggerProtocolViolated", "TriggeredActionException",
        "TriggeredDataChangeViolation", "TrimError", "UndefinedColumn", "UndefinedFunction", "UndefinedObject",
        "UndefinedParameter", "UndefinedTable", "UniqueViolation", "UnsafeNewEnumValueUsage", "UnterminatedCString",
        "UntranslatableCharacter", "WindowingError", "WithCheckOptionViolation", "WrongObjectType",
        "ZeroLengthCharacterString",
    }
)  # fmt: skip
"""The other conditions: what the caller did wrong."""

BAD_EXCEPTIONS = frozenset(
    {
        "BusyLoadingError", "ConnectTimeout", "ConnectionError", "ConnectionRefusedError", "ConnectionResetError",
        "ConnectionTimeout", "BrokenPipeError", "InterfaceError", "InternalError", "MasterDownError", "OSError",
        "OperationalError", "OutOfMemoryError", "PoolTimeout", "ReadOnlyError", "ServerSelectionTimeoutError", "TimeoutError",
        "TooManyRequests", "gaierror",
    }
)  # fmt: skip
"""Exceptions of drivers and of the network that carry no code: no answer came, or none that could be used."""

INVALID_EXCEPTIONS = frozenset(
    {
        "CancelledError", "DataError", "GeneratorExit", "IntegrityError", "KeyboardInterrupt", "NotSupportedError",
        "ProgrammingError", "SystemExit",
    }
)  # fmt: skip
"""The application gave up by itself or asked for what cannot be: nothing is known about the database."""
