"""Calls to dispatch for commands, by an account of the operations office."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from alerthub.api.v1 import alert_pb2_grpc
from alerthub.cli.context import first_account, signed_in

OFFICE = ("ROLE_OPERATOR", "ROLE_SUPERVISOR")


def office_account(data: Path, account: str) -> str:
    """`account`, or where it is empty the first of accounts.json that works at the office."""
    return account or first_account(data, OFFICE)


@asynccontextmanager
async def dispatch(data: Path, account: str) -> AsyncIterator[Any]:
    """DispatchService as `account` (empty: of the office). Errors come out as `Refuse` or `Retry`."""
    async with signed_in(data, office_account(data, account), "dispatch") as channel:
        yield alert_pb2_grpc.DispatchServiceStub(channel)
