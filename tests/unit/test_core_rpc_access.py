"""Every RPC against everybody who could call it (S2): the table `core_rpc_access.txt` is what a person agreed
to.

A new RPC, or one opened to somebody else, fails here until a person has changed the table.
"""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from core_authority import Authority
from google.protobuf.descriptor import MethodDescriptor

import alerthub.api.v1
from alerthub.api.v1 import access_pb2
from alerthub.grpc import GrpcServer, certificate_channel, person_channel, rpc_access_table, serve
from alerthub.grpc_access import AccessRule, access_rule, method_path
from alerthub.identity import ANONYMOUS, Caller, CallerKind, TokenSigner, spiffe
from alerthub.settings import ServiceSettings

TABLE = Path(__file__).with_name("core_rpc_access.txt")
MODULES = [
    importlib.import_module(f"alerthub.api.v1.{found.name}")
    for found in pkgutil.iter_modules(alerthub.api.v1.__path__)
]
SERVICES = [
    service
    for module in MODULES
    if not module.__name__.endswith("_grpc")
    for service in module.DESCRIPTOR.services_by_name.values()
]
METHODS: list[MethodDescriptor] = [method for service in SERVICES for method in service.methods]

ROLES = [role for role in access_pb2.Role.values() if role]
CALLERS = [
    ANONYMOUS,
    *(Caller(CallerKind.PERSON, "li.wei", roles=frozenset({role})) for role in ROLES),
    *(
        Caller(CallerKind.SERVICE, name)
        for name in ("gateway", "correlator", "watchlist", "registry", "dispatch", "push", "console")
    ),
    Caller(CallerKind.SERVICE, "impostor"),
    Caller(CallerKind.TERMINAL, "T1"),
    Caller(CallerKind.DEVICE, "D1"),
]


def name_of(caller: Caller) -> str:
    """As it stands in the table."""
    if caller.kind is CallerKind.PERSON:
        return "/".join(access_pb2.Role.Name(role) for role in caller.roles)
    return f"service:{caller.name}" if caller.kind is CallerKind.SERVICE else caller.kind.value


def read_table() -> dict[str, set[str]]:
    lines = (line.split("#")[0].split() for line in TABLE.read_text(encoding="utf-8").splitlines())
    return {path: set(names) for path, *names in filter(None, lines)}


AGREED = read_table()


def agreed(path: str, caller: Caller) -> bool:
    return name_of(caller) in AGREED[path] or "anyone" in AGREED[path]


def test_every_rpc_is_in_the_table_and_nothing_else() -> None:
    assert {method_path(method) for method in METHODS} == AGREED.keys()


@pytest.mark.parametrize(
    "method", METHODS, ids=lambda method: f"{method.containing_service.name}.{method.name}"
)
def test_an_rpc_allows_whom_the_table_names(method: MethodDescriptor) -> None:
    path = method_path(method)
    rule = rpc_access_table([method.containing_service.full_name])[path]
    allowed = {name_of(caller) for caller in CALLERS if rule.allows(caller)}
    assert allowed == {name_of(caller) for caller in CALLERS if agreed(path, caller)}


@pytest.mark.parametrize(
    "path", ["/alerthub.api.v1.RegistryService/Nothing", "/no.such.Service/Method", "", "/", "nonsense"]
)
@pytest.mark.parametrize("caller", CALLERS, ids=name_of)
def test_what_no_proto_lists_is_refused_to_all(path: str, caller: Caller) -> None:
    assert not access_rule(path).allows(caller)


@pytest.mark.parametrize("caller", CALLERS, ids=name_of)
def test_an_rpc_without_rule_is_refused_to_all(caller: Caller) -> None:
    assert not AccessRule("/alerthub.api.v1.RegistryService/Forgotten").allows(caller)


@dataclass(frozen=True)
class Everything:
    """One server that has every service of the wire."""

    authority: Authority
    signer: TokenSigner
    server: GrpcServer

    def channel(self, caller: Caller) -> grpc.aio.Channel:
        ca_file = self.authority.folder / "ca.pem"
        person_address = f"127.0.0.1:{self.server.person_port}"
        if caller.kind is CallerKind.ANONYMOUS:
            return person_channel(ca_file, person_address)
        if caller.kind is CallerKind.PERSON:
            at = time.time_ns() // 1_000_000
            token, _ = self.signer.sign(
                account=caller.name, roles=caller.roles, audience="everything", now_ms=at
            )
            return person_channel(ca_file, person_address, token)
        tls = self.authority.issue(spiffe(caller.kind, caller.name), file_name=uuid.uuid4().hex)
        return certificate_channel(tls, f"127.0.0.1:{self.server.grpc_port}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def everything(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Everything]:
    authority = Authority.create(tmp_path_factory.mktemp("authority"))
    key, public_file = authority.token_keys()
    settings = ServiceSettings(
        tls=authority.issue("spiffe://alerthub/service/registry"), token_verification_key_file=public_file
    )
    servicers = [
        getattr(module, f"{name}Servicer")()
        for module in MODULES
        if module.__name__.endswith("_grpc")
        for name in [each.name for each in SERVICES if each.file.name.endswith(_proto_of(module.__name__))]
    ]
    server = await serve(settings, servicers, audience="everything", mutual_port=0, person_port=0)
    yield Everything(authority, TokenSigner(key), server)
    await server.stop(0)


def _proto_of(module_name: str) -> str:
    return "/" + module_name.rsplit(".", 1)[-1].removesuffix("_pb2_grpc") + ".proto"


async def call(channel: grpc.aio.Channel, method: MethodDescriptor) -> grpc.StatusCode:
    """The status of an empty request, or of a stream without any."""
    path = method_path(method)
    call_object: Any
    if method.client_streaming:
        stream = channel.stream_stream if method.server_streaming else channel.stream_unary
        call_object = stream(path)(timeout=10)
        # A request that is written when the server has refused already would be told as cancelled.
        with suppress(asyncio.InvalidStateError):
            await call_object.done_writing()
    elif method.server_streaming:
        unary_stream: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(path)
        call_object = unary_stream(b"", timeout=10)
    else:
        unary_unary: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
        call_object = unary_unary(b"", timeout=10)
    return await call_object.code()  # type: ignore[no-any-return]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("caller", CALLERS, ids=name_of)
async def test_the_server_lets_in_whom_the_table_names_and_nobody_else(
    everything: Everything, caller: Caller
) -> None:
    assert set(everything.server.access_table()) == AGREED.keys(), "every RPC is served"
    async with everything.channel(caller) as channel:
        let_in = {
            method_path(method)
            for method in METHODS
            if await call(channel, method)
            not in {grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED}
        }
    assert let_in == {path for path in AGREED if agreed(path, caller)}
