"""The database that tests use: a server of their own, or the one that a variable names."""

from __future__ import annotations

import itertools
import os
from typing import Any

import attrs
from opslifecycle import PostgresStore

from tests.support.postgres.server import PostgresServer

_NUMBERS = itertools.count()


@attrs.frozen
class Database:
    """A schema of its own on a server."""

    dsn: str
    schema: str
    #: The server; None if the tests did not start it.
    server: PostgresServer | None

    def store(self, registry: str = "default", **arguments: Any) -> PostgresStore:
        """Return a store of one registry in the schema."""
        return PostgresStore(self.dsn, registry=registry, schema=self.schema, **arguments)

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a statement on the schema, and return its rows."""
        import psycopg

        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(f'SET search_path = "{self.schema}"')
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def drop(self) -> None:
        """Remove the schema with everything in it."""
        self.query(f'DROP SCHEMA IF EXISTS "{self.schema}" CASCADE')


def new_database(dsn: str, server: PostgresServer | None) -> Database:
    """Return a schema that no other test uses."""
    return Database(dsn, f"test_{os.getpid()}_{next(_NUMBERS)}", server)
