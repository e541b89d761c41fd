"""Alembic's entry point: migrates the connection that ``dbre.core.store.schema.upgrade`` hands in, in its transaction."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    version_table="dbre_schema",
    transactional_ddl=True,  # SQLite's DDL is transactional where the driver does not meddle, and ours does not
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
