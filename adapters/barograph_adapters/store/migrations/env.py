"""Run the migrations in the caller's transaction: a database is at one version or at another, never between."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
