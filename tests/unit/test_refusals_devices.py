"""S3: what a device must prove, where a weaker proof than it seems would get in."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from core_authority import Authority
from gateway_parts import PARTITIONS, SECRET, START_MS, Gateway, device_record, gateway

from alerthub.api.v1 import common_pb2
from alerthub.domain.admission import AuthenticationClass
from alerthub.domain.device_events import CallKind, DeviceEvent, ObservationKind
from alerthub.domain.errors import NotAllowed, Retry
from alerthub.identity import CallerKind, NotAuthenticatedError, RevocationEntry, RevocationList, spiffe
from services.gateway.admittance import TooManyRequests
from services.gateway.authentication import Authenticator
from services.gateway.devices import DeviceDirectory
from services.gateway.settings import GatewaySettings

PANIC = DeviceEvent(ObservationKind.PRESENCE, START_MS, event_id="p1", call=CallKind.PANIC)
ADDRESS = "192.0.2.7"


def authenticator(one: Gateway, revocations: RevocationList | None = None) -> Authenticator:
    return Authenticator(
        one.devices, revocations or RevocationList(), failures_per_minute=10, now_ms=one.clock
    )


def certificate(folder: Path, kind: CallerKind, name: str) -> bytes:
    issued = Authority.create(folder / "authority").issue(spiffe(kind, name))
    return ssl.PEM_cert_to_DER_cert(issued.certificate_file.read_text(encoding="utf-8"))


async def test_s3_no_secret_at_all_opens_no_device_that_has_none(tmp_path: Path) -> None:
    # given a device to which no secret was issued
    one = await gateway(tmp_path)
    one.register(version=2, secret_sha256=b"")

    # when somebody presents an empty one
    with pytest.raises(NotAuthenticatedError):
        authenticator(one).url_token("camera-1", "", address=ADDRESS)


async def test_s3_after_too_many_failures_the_right_secret_waits_too(tmp_path: Path) -> None:
    # given somebody who has guessed ten times in a minute
    one = await gateway(tmp_path)
    guessed = authenticator(one)
    for _ in range(10):
        with pytest.raises(NotAuthenticatedError):
            guessed.url_token("camera-1", "wrong", address=ADDRESS)

    # when the next guess is right
    with pytest.raises(TooManyRequests):
        guessed.url_token("camera-1", SECRET, address=ADDRESS)

    # then they do not learn it, and the same device elsewhere is let in
    assert guessed.url_token("camera-1", SECRET, address="192.0.2.8").device_id == "camera-1"


async def test_s3_the_certificate_of_a_device_proves_that_device(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    proven = authenticator(one).certificate(certificate(tmp_path, CallerKind.DEVICE, "camera-1"))
    assert (proven.device_id, proven.used) == ("camera-1", AuthenticationClass.CERTIFICATE)


@pytest.mark.parametrize("kind", [CallerKind.SERVICE, CallerKind.TERMINAL])
async def test_s3_the_certificate_of_a_service_or_terminal_proves_no_device(
    tmp_path: Path, kind: CallerKind
) -> None:
    one = await gateway(tmp_path)
    with pytest.raises(NotAuthenticatedError):
        authenticator(one).certificate(certificate(tmp_path, kind, "camera-1"))


async def test_s3_a_revoked_devices_certificate_proves_nothing(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    revocations = RevocationList()
    revocations.put(RevocationEntry("device:camera-1", version=1, revoked_at_ms=START_MS))
    with pytest.raises(NotAuthenticatedError):
        authenticator(one, revocations).certificate(certificate(tmp_path, CallerKind.DEVICE, "camera-1"))


def test_s3_a_certificate_alone_registers_no_device() -> None:
    with pytest.raises(NotAllowed, match="a registered device"):
        DeviceDirectory(PARTITIONS).in_force("camera-1", START_MS)


async def test_s3_a_direct_call_carries_the_weaker_class_too(tmp_path: Path) -> None:
    # given a panic button that is registered for a URL token
    one = await gateway(tmp_path)
    one.register(version=2, authentication_class=common_pb2.AUTHENTICATION_CLASS_URL_TOKEN)

    # when its secret comes in a header
    await one.intake.accept("camera-1", AuthenticationClass.PASSWORD_OVER_TLS, "cloudevents", [PANIC])

    # then the call is of the class URL token all the same
    (call,) = one.broker.calls()
    assert call.authentication_class == common_pb2.AUTHENTICATION_CLASS_URL_TOKEN


async def test_s3_a_direct_call_with_a_weaker_proof_than_registered_is_refused(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    with pytest.raises(NotAllowed):
        await one.intake.accept("camera-1", AuthenticationClass.URL_TOKEN, "cloudevents", [PANIC])
    assert one.broker.records == []


def test_s3_plain_http_is_off_unless_somebody_turns_it_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALERTHUB_PLAIN_HTTP_PORT", raising=False)
    assert GatewaySettings().plain_http_port is None


def test_c9_an_older_version_of_a_device_changes_nothing() -> None:
    directory = DeviceDirectory(PARTITIONS)
    directory.apply("camera-1", device_record("camera-1", version=2, authorised=False))

    directory.apply("camera-1", device_record("camera-1", version=1))

    assert directory.in_force("camera-1", START_MS).authorisations == ()


async def test_c1_a_device_is_asked_to_come_again_while_it_is_not_known_who_is_registered(
    tmp_path: Path,
) -> None:
    # given a gateway that has just started: its replica of the devices is still being read
    one = await gateway(tmp_path)
    reading: list[str | None] = ["still reading"]
    one.devices.incomplete = lambda: reading[0]
    known = authenticator(one)

    # when devices that it has not read yet present their credentials, oftener than guesses are allowed
    for _ in range(20):
        with pytest.raises(Retry):
            known.url_token("camera-not-read-yet", "secret", address=ADDRESS)
    with pytest.raises(Retry):
        known.network("camera-not-read-yet", address=ADDRESS)
    with pytest.raises(Retry):
        one.devices.in_force("camera-not-read-yet", START_MS)

    # then they are refused only once all are known, and none of it counts as a guess
    reading[0] = None
    with pytest.raises(NotAuthenticatedError):
        known.url_token("camera-not-read-yet", "secret", address=ADDRESS)
    with pytest.raises(NotAllowed):
        one.devices.in_force("camera-not-read-yet", START_MS)


async def test_s2_no_certificate_is_taken_before_it_is_known_what_is_revoked(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    known = Authenticator(
        one.devices,
        RevocationList(),
        failures_per_minute=10,
        now_ms=one.clock,
        revocations_incomplete=lambda: "still reading",
    )

    with pytest.raises(Retry):
        known.certificate(certificate(tmp_path, CallerKind.DEVICE, "camera-1"))
