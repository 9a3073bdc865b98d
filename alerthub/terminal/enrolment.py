"""How a terminal becomes one of the hub's: a key that never leaves it, a certificate for a one-time code."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from alerthub.api.v1 import registry_pb2_grpc
from alerthub.api.v1.registry_pb2 import EnrolTerminalRequest
from alerthub.domain.denials import Denial, enrolment_silent, not_enrolled
from alerthub.domain.errors import Conflict, NotAllowed, NotFound, Refuse, Retry
from alerthub.terminal.session import certificate_authority

_DEADLINE_SECONDS = 15.0
_KEY, _CERTIFICATE, _AUTHORITY, _TERMINAL, _UNIT = (
    "terminal.key",
    "terminal.pem",
    "authority.pem",
    "terminal.id",
    "unit.id",
)


@dataclass(frozen=True, slots=True)
class TerminalIdentity:
    """An enrolled terminal: who it is, and the folder that holds its key and certificate."""

    terminal_id: str
    unit_id: str
    folder: Path

    @property
    def authority_file(self) -> Path:
        """The hub's authority, PEM."""
        return self.folder / _AUTHORITY

    @property
    def database_file(self) -> Path:
        """Outbox and stored screen."""
        return self.folder / "terminal.db"

    def credentials(self) -> grpc.ChannelCredentials:
        """TLS with this terminal's certificate."""
        return grpc.ssl_channel_credentials(
            root_certificates=self.authority_file.read_bytes(),
            private_key=(self.folder / _KEY).read_bytes(),
            certificate_chain=(self.folder / _CERTIFICATE).read_bytes(),
        )


def load_identity(folder: Path) -> TerminalIdentity:
    """The terminal enrolled in `folder`. `NotFound`: none is."""
    try:
        terminal_id = (folder / _TERMINAL).read_text(encoding="utf-8").strip()
        unit_id = (folder / _UNIT).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise NotFound("folder", not_enrolled(str(folder))) from None
    return TerminalIdentity(terminal_id, unit_id, folder)


async def enrol(*, code: str, registry_address: str, ca_file: Path, folder: Path) -> TerminalIdentity:
    """Enrols a terminal with a one-time `code` at the registry, and stores the result in `folder`.

    The code decides which terminal and unit this becomes. The key is stored before the code is used, so a
    code is never spent on a key that was lost. `Conflict`: the folder already holds an enrolled terminal.
    `NotAllowed`: the code is wrong, used or too old. `Retry`: no answer.
    """
    if (folder / _CERTIFICATE).exists():
        raise Conflict("folder", Denial.ENROLLED_ALREADY.value)
    key = _stored_key(folder)
    request = EnrolTerminalRequest(code=code, signing_request_pem=_signing_request(key))
    async with grpc.aio.secure_channel(registry_address, certificate_authority(ca_file)) as channel:
        stub = registry_pb2_grpc.EnrolmentServiceStub(channel)
        try:
            response = await stub.EnrolTerminal(request, timeout=_DEADLINE_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise _refusal(error) from None
    _write(folder / _AUTHORITY, response.authority_pem)
    _write(folder / _TERMINAL, response.terminal_id)
    _write(folder / _UNIT, response.unit_id)
    # Last: its presence says that the enrolment is complete.
    _write(folder / _CERTIFICATE, response.certificate_pem)
    return TerminalIdentity(response.terminal_id, response.unit_id, folder)


def _stored_key(folder: Path) -> ec.EllipticCurvePrivateKey:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / _KEY
    if path.exists():
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return key
        raise Refuse("folder", Denial.KEY_OF_ANOTHER.value)
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(path, pem.decode("ascii"))
    return key


def _signing_request(key: ec.EllipticCurvePrivateKey) -> str:
    # The registry writes the terminal's name into the certificate: a terminal does not choose who it is.
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "patrol terminal")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode("ascii")


def _refusal(error: grpc.aio.AioRpcError) -> Exception:
    unreachable = (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    )
    if error.code() in unreachable:
        return Retry(enrolment_silent(error.code().name))
    return NotAllowed("code", Denial.CODE_NOT_TAKEN.value)


def _write(path: Path, text: str) -> None:
    """Writes a file that only its owner may read, whole or not at all."""
    temporary = path.with_suffix(path.suffix + ".new")
    with os.fdopen(os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
