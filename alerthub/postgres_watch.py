"""What PostgreSQL says of itself, for Prometheus: no more than a service's own role may ask.

Each service with a schema tells of its own tables and transactions, and all of them of the database that they
share; who wants the database's numbers takes the maximum over the services. So no exporter, no further role
and no further password is needed, wherever PostgreSQL runs (docs/adr/0015).
"""

from __future__ import annotations

import asyncio
import time

from prometheus_client import Gauge
from sqlalchemy.ext.asyncio import AsyncEngine

from alerthub import loops, postgres
from alerthub.postgres import sql, transaction

EVERY_SECONDS = 15.0

_transactions = Gauge(
    "alerthub_postgres_transactions", "The database's, since its statistics began.", ["outcome"]
)
_blocks = Gauge(
    "alerthub_postgres_blocks", "Blocks asked for since the statistics began, by where they were.", ["found"]
)
_deadlocks = Gauge("alerthub_postgres_deadlocks", "Deadlocks since the statistics began.")
_temporary_bytes = Gauge(
    "alerthub_postgres_temporary_bytes", "Bytes of temporary files since the statistics began."
)
_database_bytes = Gauge("alerthub_postgres_database_bytes", "Size of the database.")
_connections = Gauge("alerthub_postgres_connections", "Connections to the database, of all services.")
_connections_limit = Gauge("alerthub_postgres_connections_limit", "Connections that the server allows.")
_waiting_locks = Gauge("alerthub_postgres_waiting_locks", "Locks that somebody waits for.")
_schema_bytes = Gauge("alerthub_postgres_schema_bytes", "Size of this service's tables and indexes.")
_rows = Gauge("alerthub_postgres_rows", "Rows of this service's tables, as estimated.", ["state"])
_oldest_transaction = Gauge(
    "alerthub_postgres_oldest_transaction_seconds", "Age of this service's oldest open transaction."
)
_answer = Gauge("alerthub_postgres_answer_seconds", "How long the last of these questions took.")
_clock_offset = Gauge(
    "alerthub_postgres_clock_offset_seconds", "The database's clock minus this process's, to half an answer."
)

_DATABASE = sql(
    "SELECT xact_commit, xact_rollback, blks_hit, blks_read, deadlocks, temp_bytes, numbackends, "
    "pg_database_size(datid) AS bytes, current_setting('max_connections')::integer AS connections_limit, "
    "(SELECT count(*) FROM pg_locks WHERE NOT granted) AS waiting_locks, "
    "extract(epoch FROM clock_timestamp())::float8 AS clock "
    "FROM pg_stat_database WHERE datname = current_database()"
)
_OWN = sql(
    "SELECT coalesce(sum(pg_total_relation_size(relid)), 0)::bigint AS bytes, "
    "coalesce(sum(n_live_tup), 0)::bigint AS live, coalesce(sum(n_dead_tup), 0)::bigint AS dead, "
    "(SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8 "
    "FROM pg_stat_activity WHERE usename = current_user AND pid <> pg_backend_pid()) AS oldest "
    "FROM pg_stat_user_tables WHERE schemaname = current_schema()"
)


class DatabaseWatch:
    """Asks every `every_seconds`. While the database does not answer the numbers stand still; that it does
    not is told by readiness."""

    def __init__(self, database: AsyncEngine, *, every_seconds: float = EVERY_SECONDS) -> None:
        self._database = database
        self._every_seconds = every_seconds
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = loops.begin(
            loops.repeat(
                self.ask,
                every_seconds=self._every_seconds,
                waiting_event="database_watch_waits",
                waits_out=postgres.ERRORS,
            ),
            name="database-watch",
            on_failure=loops.ignore,
        )

    async def stop(self) -> None:
        await loops.end(self._task)

    async def ask(self) -> None:
        """Asks once. Raises Retry."""
        async with transaction(self._database) as connection:
            before, began = time.time(), time.monotonic()
            row = (await connection.execute(_DATABASE)).one()
            took = time.monotonic() - began
            own = (await connection.execute(_OWN)).one()
        _clock_offset.set(row.clock - before - took / 2)
        _answer.set(took)
        _transactions.labels("committed").set(row.xact_commit)
        _transactions.labels("rolled_back").set(row.xact_rollback)
        _blocks.labels("in_memory").set(row.blks_hit)
        _blocks.labels("on_disk").set(row.blks_read)
        _deadlocks.set(row.deadlocks)
        _temporary_bytes.set(row.temp_bytes)
        _database_bytes.set(row.bytes)
        _connections.set(row.numbackends)
        _connections_limit.set(row.connections_limit)
        _waiting_locks.set(row.waiting_locks)
        _schema_bytes.set(own.bytes)
        _rows.labels("live").set(own.live)
        _rows.labels("dead").set(own.dead)
        _oldest_transaction.set(own.oldest)
