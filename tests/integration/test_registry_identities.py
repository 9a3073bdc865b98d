"""How terminals and devices become ours: one-time codes, certificates, revocation (S2)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from registry_city import device, jurisdiction, unit
from registry_hub import RunningRegistry, running_registry

from alerthub.api.v1 import common_pb2, registry_pb2, registry_pb2_grpc
from alerthub.embedded.infrastructure import Infrastructure
from alerthub.grpc_client import certificate_channel, person_channel
from alerthub.identity import CallerKind, caller_of_certificate
from alerthub.settings import TlsSettings

Unique = Callable[[str], str]


@pytest.fixture(scope="module")
def registry(
    infrastructure: Infrastructure, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningRegistry]:
    yield from running_registry(infrastructure, tmp_path_factory.mktemp("registry"))


@pytest.fixture
async def patrol(registry: RunningRegistry, unique: Unique) -> str:
    city, name = unique("city"), unique("unit")
    await registry.apply(jurisdiction(city), unit(name, city))
    return name


def signing_request(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, *, name: str = "anything") -> str:
    """A request that asks for more than it gets: another name, a service's URI, to be an authority."""
    another = x509.UniformResourceIdentifier("spiffe://alerthub/service/registry")
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([another]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
        .decode()
    )


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


async def code_for(registry: RunningRegistry, terminal: str, patrol: str) -> str:
    request = registry_pb2.CreateEnrolmentCodeRequest(terminal_id=terminal, unit_id=patrol)
    return str((await registry.call("CreateEnrolmentCode", request, as_account="supervisor")).code)


async def enrol(registry: RunningRegistry, code: str, request_pem: str) -> registry_pb2.EnrolTerminalResponse:
    async with person_channel(registry.ca_file, registry.person_address) as channel:
        return await registry_pb2_grpc.EnrolmentServiceStub(channel).EnrolTerminal(
            registry_pb2.EnrolTerminalRequest(code=code, signing_request_pem=request_pem), timeout=20
        )


async def refusal(call: Awaitable[object]) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value.code()


async def test_a_code_ends_in_a_certificate_of_the_terminal(
    registry: RunningRegistry, patrol: str, unique: Unique
) -> None:
    terminal = unique("terminal")
    answer = await enrol(registry, await code_for(registry, terminal, patrol), signing_request(new_key()))
    assert (answer.terminal_id, answer.unit_id) == (terminal, patrol)
    caller = caller_of_certificate(answer.certificate_pem.encode())
    assert (caller.kind, caller.name) == (CallerKind.TERMINAL, terminal)

    certificate = x509.load_pem_x509_certificate(answer.certificate_pem.encode())
    days = (certificate.not_valid_after_utc - datetime.now(UTC)) / timedelta(days=1)
    assert 89.9 < days <= 90
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(registry.ca_file.read_bytes()))


async def test_the_certificate_opens_the_listener_for_terminals(
    registry: RunningRegistry, patrol: str, unique: Unique, tmp_path: Path
) -> None:
    key = new_key()
    answer = await enrol(registry, await code_for(registry, unique("t"), patrol), signing_request(key))
    settings = TlsSettings(
        certificate_file=tmp_path / "t.pem", key_file=tmp_path / "t.key", ca_file=registry.ca_file
    )
    settings.certificate_file.write_text(answer.certificate_pem)
    settings.key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    async with certificate_channel(settings, registry.mutual_address) as channel:
        # Known, and not allowed: resources are for persons.
        listing = registry_pb2_grpc.RegistryServiceStub(channel).ListResources
        request = registry_pb2.ListResourcesRequest()
        assert await refusal(listing(request, timeout=5)) is grpc.StatusCode.PERMISSION_DENIED


async def test_a_code_works_once(registry: RunningRegistry, patrol: str, unique: Unique) -> None:
    code = await code_for(registry, unique("terminal"), patrol)
    answers = await asyncio.gather(
        *(enrol(registry, code, signing_request(new_key())) for _ in range(5)), return_exceptions=True
    )
    enrolled = [each for each in answers if isinstance(each, registry_pb2.EnrolTerminalResponse)]
    assert len(enrolled) == 1
    assert await refusal(enrol(registry, code, signing_request(new_key()))) is grpc.StatusCode.UNAUTHENTICATED


async def test_a_code_may_be_typed_in_small_letters(
    registry: RunningRegistry, patrol: str, unique: Unique
) -> None:
    code = await code_for(registry, unique("terminal"), patrol)
    assert await enrol(registry, f" {code.lower().replace('-', ' ')} ", signing_request(new_key()))


async def test_a_code_is_dead_after_its_hour(registry: RunningRegistry, patrol: str, unique: Unique) -> None:
    terminal = unique("terminal")
    code = await code_for(registry, terminal, patrol)
    registry.sql(
        "UPDATE enrolment_code SET created_at_ms = created_at_ms - 3600000,"
        " valid_until_ms = valid_until_ms - 3600000 WHERE terminal_id = :'terminal'",
        terminal=terminal,
    )
    assert await refusal(enrol(registry, code, signing_request(new_key()))) is grpc.StatusCode.UNAUTHENTICATED


async def test_a_new_code_ends_the_one_before(registry: RunningRegistry, patrol: str, unique: Unique) -> None:
    terminal = unique("terminal")
    first = await code_for(registry, terminal, patrol)
    await code_for(registry, terminal, patrol)
    request = signing_request(new_key())
    assert await refusal(enrol(registry, first, request)) is grpc.StatusCode.UNAUTHENTICATED


async def test_a_code_that_nobody_made_enrols_nobody(registry: RunningRegistry) -> None:
    request = signing_request(new_key())
    code = await refusal(enrol(registry, "AAAA-BBBB-CCCC-DDDD", request))
    assert code is grpc.StatusCode.UNAUTHENTICATED


async def test_a_bad_signing_request_leaves_the_code_unused(
    registry: RunningRegistry, patrol: str, unique: Unique
) -> None:
    code = await code_for(registry, unique("terminal"), patrol)
    weak = signing_request(rsa.generate_private_key(public_exponent=65537, key_size=1024))  # noqa: S505
    tampered = signing_request(new_key()).replace("MII", "MIJ", 1)
    for request in ("no request", weak, tampered):
        assert await refusal(enrol(registry, code, request)) is grpc.StatusCode.INVALID_ARGUMENT
    assert await enrol(registry, code, signing_request(new_key()))


async def test_a_code_is_for_a_unit_that_exists(registry: RunningRegistry, unique: Unique) -> None:
    request = registry_pb2.CreateEnrolmentCodeRequest(terminal_id=unique("t"), unit_id="no-such-unit")
    assert await refusal(registry.call("CreateEnrolmentCode", request)) is grpc.StatusCode.NOT_FOUND


async def test_codes_are_kept_as_hashes(registry: RunningRegistry, patrol: str, unique: Unique) -> None:
    code = await code_for(registry, unique("terminal"), patrol)
    rows = registry.sql("SELECT enrolment_code::text FROM enrolment_code")
    assert code.replace("-", "") not in rows
    assert code.replace("-", "").encode().hex() not in rows


async def test_a_revoked_terminal_is_told_with_its_certificate(
    registry: RunningRegistry, patrol: str, unique: Unique
) -> None:
    terminal = unique("terminal")
    answer = await enrol(registry, await code_for(registry, terminal, patrol), signing_request(new_key()))
    caller = caller_of_certificate(answer.certificate_pem.encode())
    await registry.call("Revoke", registry_pb2.RevokeRequest(terminal_id=terminal, reason="lost"))
    for subject in (f"terminal:{terminal}", f"certificate:{caller.certificate_fingerprint}"):
        value = registry_pb2.Revocation.FromString(await registry.published("revocations", subject, 1))
        assert not value.reinstated


async def test_a_terminal_that_enrols_anew_returns_without_its_old_certificate(
    registry: RunningRegistry, patrol: str, unique: Unique
) -> None:
    terminal = unique("terminal")
    old = await enrol(registry, await code_for(registry, terminal, patrol), signing_request(new_key()))
    await registry.call("Revoke", registry_pb2.RevokeRequest(terminal_id=terminal, reason="lost"))
    await enrol(registry, await code_for(registry, terminal, patrol), signing_request(new_key()))
    fingerprint = caller_of_certificate(old.certificate_pem.encode()).certificate_fingerprint
    back = await registry.published("revocations", f"terminal:{terminal}", 2)
    dead = await registry.published("revocations", f"certificate:{fingerprint}", 1)
    assert registry_pb2.Revocation.FromString(back).reinstated
    assert not registry_pb2.Revocation.FromString(dead).reinstated


async def test_only_what_exists_is_revoked(registry: RunningRegistry) -> None:
    for request, code in (
        (registry_pb2.RevokeRequest(account="nobody", reason="r"), grpc.StatusCode.NOT_FOUND),
        (registry_pb2.RevokeRequest(terminal_id="none", reason="r"), grpc.StatusCode.NOT_FOUND),
        (
            registry_pb2.RevokeRequest(certificate_fingerprint="abc", reason="r"),
            grpc.StatusCode.INVALID_ARGUMENT,
        ),
        (registry_pb2.RevokeRequest(account="officer", reason=" "), grpc.StatusCode.INVALID_ARGUMENT),
    ):
        assert await refusal(registry.call("Revoke", request)) is code


async def test_a_device_of_the_class_gets_a_certificate(registry: RunningRegistry, unique: Unique) -> None:
    city, edge, camera = unique("city"), unique("edge"), unique("cam")
    by_certificate = common_pb2.AUTHENTICATION_CLASS_CERTIFICATE
    await registry.apply(
        jurisdiction(city),
        device(camera, city),
        device(edge, city, authentication_class=by_certificate, speaks_for=[camera]),
    )
    pem = signing_request(new_key())
    request = registry_pb2.IssueDeviceCertificateRequest(device_id=edge, signing_request_pem=pem)
    answer = await registry.call("IssueDeviceCertificate", request)
    caller = caller_of_certificate(answer.certificate_pem.encode())
    assert (caller.kind, caller.name) == (CallerKind.DEVICE, edge)
    request = registry_pb2.IssueDeviceCertificateRequest(device_id=camera, signing_request_pem=pem)
    assert await refusal(registry.call("IssueDeviceCertificate", request)) is grpc.StatusCode.INVALID_ARGUMENT
