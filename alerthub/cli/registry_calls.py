"""Calls to the registry for commands, by an account that may make them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from alerthub.api.v1 import registry_pb2_grpc
from alerthub.cli.context import CALL_SECONDS, first_account, signed_in

EDITOR = "ROLE_REGISTRY_EDITOR"

OptionalAccount = Annotated[
    str,
    typer.Option(
        "--account",
        envvar="ALERTHUB_ACCOUNT",
        help="Who you are; otherwise the first registry editor of the data folder's accounts.json.",
    ),
]


def editor(data: Path, account: str) -> str:
    """`account`, or where it is empty the first of accounts.json that may change the registry."""
    return account or first_account(data, (EDITOR,))


@asynccontextmanager
async def registry(data: Path, account: str) -> AsyncIterator[Any]:
    """RegistryService as `account` (empty: a registry editor). Errors come out as `Refuse` or `Retry`."""
    async with signed_in(data, editor(data, account), "registry") as channel:
        yield registry_pb2_grpc.RegistryServiceStub(channel)


async def call(data: Path, account: str, method: str, request: Any) -> Any:
    """One RPC of RegistryService."""
    async with registry(data, account) as stub:
        return await getattr(stub, method)(request, timeout=CALL_SECONDS)
