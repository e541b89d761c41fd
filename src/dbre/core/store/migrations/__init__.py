"""The linear Alembic history of the state store, packaged with the code that needs it."""
