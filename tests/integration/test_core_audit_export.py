"""`alerthub audit export` from a service's real log, then `alerthub audit verify` on the file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from sqlalchemy.ext.asyncio import AsyncEngine
from test_core_audit import database, note  # noqa: F401
from typer.testing import CliRunner, Result

from alerthub import audit_file
from alerthub.api.v1 import registry_pb2, registry_pb2_grpc
from alerthub.api.v1.access_pb2 import ROLE_AUDITOR, ROLE_OPERATOR
from alerthub.audit import AuditSequencer
from alerthub.audit_api import AuditServicer
from alerthub.audit_signing import HeadSigner
from alerthub.cli import audit as command
from alerthub.grpc import serve
from alerthub.identity import NotAuthenticatedError, TokenSigner
from alerthub.settings import ServiceSettings, TlsSettings

application = typer.Typer()
command.register(application)


@dataclass
class SignsIn(registry_pb2_grpc.SessionServiceServicer):
    """Stands for the registry's SessionService: two accounts, one password."""

    signer: TokenSigner

    async def SignIn(  # noqa: N802
        self, request: registry_pb2.SignInRequest, context: Any
    ) -> registry_pb2.SignInResponse:
        if request.password != "right":  # noqa: S105
            raise NotAuthenticatedError("account or password is wrong")
        token, expires = self.signer.sign(
            account=request.account,
            roles=[ROLE_AUDITOR if request.account == "auditor" else ROLE_OPERATOR],
            audience=request.audience,
            now_ms=time.time_ns() // 1_000_000,
        )
        return registry_pb2.SignInResponse(token=token, expires_at_ms=expires)


@dataclass
class Log:
    """A service that has a log, and the command line against it."""

    engine: AsyncEngine
    sequencer: AuditSequencer
    address: str
    ca_file: Path
    folder: Path

    @property
    def export_file(self) -> Path:
        return self.folder / "export.jsonl"

    async def export(self, account: str = "auditor", password: str = "right") -> Result:  # noqa: S107
        password_file = self.folder / "password"
        password_file.write_text(password)
        return await self.run(
            "export", "--service", "registry", "--account", account, "--password-file", str(password_file),
            "--address", self.address, "--registry", self.address, "--authority", str(self.ca_file),
            "--output", str(self.export_file),
        )  # fmt: skip

    async def run(self, *arguments: str) -> Result:
        # In a thread, since the command has a loop of its own and the server is in this one.
        return await asyncio.to_thread(CliRunner().invoke, application, ["audit", *arguments])


@pytest.fixture
async def log(
    *,
    database: AsyncEngine,  # noqa: F811
    tls_settings: Callable[[str], TlsSettings],
    token_signing_key_file: Path,
    token_verification_key_file: Path,
    ca_file: Path,
    tmp_path: Path,
) -> AsyncIterator[Log]:
    tls = tls_settings("registry")
    signer = TokenSigner.from_file(token_signing_key_file)
    signs_in = SignsIn(signer)  # type: ignore[abstract]  # the rest is not called
    server = await serve(
        ServiceSettings(tls=tls, token_verification_key_file=token_verification_key_file),
        [signs_in, AuditServicer(database)],
        audience="registry",
        person_port=0,
    )
    sequencer = AuditSequencer(
        database, signer=HeadSigner.from_tls(tls), witness_file=tmp_path / "witness.jsonl"
    )
    yield Log(database, sequencer, f"127.0.0.1:{server.person_port}", ca_file, tmp_path)
    await server.stop(0)


async def test_an_exported_log_verifies_without_the_hub(log: Log) -> None:
    for number in range(3):
        await note(log.engine, f"entry:{number}")
    await log.sequencer.chain_once()
    await log.sequencer.sign_head()
    exported = await log.export()
    assert exported.exit_code == 0, exported.output

    verified = await log.run(
        "verify", str(log.export_file), "--heads", str(log.folder / "witness.jsonl"),
        "--authority", str(log.ca_file),
    )  # fmt: skip
    assert verified.exit_code == 0
    # The fourth row is the export itself.
    assert "Intact: 4 rows, 3 in the chain, 2 signed heads." in verified.output


async def test_an_export_is_on_the_record(log: Log) -> None:
    await log.export()
    (row,) = audit_file.read(log.export_file).rows
    assert (row.action, row.actor) == ("AuditExported", "person:auditor")


@pytest.mark.parametrize(
    ("account", "password", "said"),
    [("operator", "right", "ROLE_AUDITOR"), ("auditor", "wrong", "account or password is wrong")],
)
async def test_only_an_auditor_exports(log: Log, account: str, password: str, said: str) -> None:
    refused = await log.export(account, password)
    assert refused.exit_code == 2
    # The lines before it are the server's log, which is in this process.
    assert said in refused.output.splitlines()[-1]
    assert not log.export_file.exists()
