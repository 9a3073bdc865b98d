"""Who may log in to the embedded broker, and where a login may publish (S3)."""

from __future__ import annotations

import hashlib
import ssl
from typing import Any

import pytest
from core_authority import Authority
from gateway_parts import SECRET, device_record

from alerthub.api.v1 import common_pb2, registry_pb2
from alerthub.domain.errors import Retry
from alerthub.embedded.mqtt.logins import Logins
from alerthub.identity import NotAuthenticatedError, RevocationEntry, RevocationList


class Known:
    """Logins with one registered camera, `camera-1`."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.revocations = RevocationList()
        self.logins = Logins(self.revocations, incomplete=lambda: self.reason)
        self.logins.apply("camera-1", device_record())


def test_a_device_logs_in_by_its_secret_and_publishes_below_its_own_name() -> None:
    login = Known().logins.admit("camera-1", SECRET.encode(), b"")
    assert login.may_publish("camera-1/frigate/events")
    for topic in (
        "camera-2/frigate/events",
        "camera-1",
        "camera-10/x",
        "/camera-1/x",
        "Camera-1/x",
        "$SYS/x",
    ):
        assert not login.may_publish(topic)


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        (None, None),
        ("camera-1", None),
        ("camera-1", b""),
        ("camera-1", b"another"),
        ("camera-1", b"x" * 300),
        ("", SECRET.encode()),
        ("camera-2", SECRET.encode()),
        ("camera-1/x", SECRET.encode()),
        ("#", SECRET.encode()),
    ],
)
def test_nobody_else_does(name: str | None, secret: bytes | None) -> None:
    with pytest.raises(NotAuthenticatedError):
        Known().logins.admit(name, secret, b"")


@pytest.mark.parametrize(
    "registered",
    [
        common_pb2.AUTHENTICATION_CLASS_CERTIFICATE,
        common_pb2.AUTHENTICATION_CLASS_NETWORK_ONLY,
    ],
)
def test_a_device_of_another_class_has_no_secret(registered: int) -> None:
    known = Known()
    known.logins.apply("camera-1", device_record(version=2, authentication_class=registered))
    with pytest.raises(NotAuthenticatedError):
        known.logins.admit("camera-1", SECRET.encode(), b"")


def test_a_secret_that_was_never_issued_admits_nobody() -> None:
    known = Known()
    known.logins.apply("camera-1", device_record(version=2, secret_sha256=b""))
    with pytest.raises(NotAuthenticatedError):
        known.logins.admit("camera-1", b"anything", b"")


@pytest.mark.parametrize(
    "change",
    [
        {"secret_sha256": hashlib.sha256(b"a new secret").digest()},
        {"status": registry_pb2.LIFE_STATUS_REMOVED},
        {"authentication_class": common_pb2.AUTHENTICATION_CLASS_CERTIFICATE},
        # Not in force yet: a changed credential counts at once all the same.
        {"secret_sha256": b"x" * 32, "active_from_ms": 2**42},
    ],
)
def test_what_a_login_was_admitted_by_may_end(change: dict[str, Any]) -> None:
    known = Known()
    told: list[str] = []
    login = known.logins.admit("camera-1", SECRET.encode(), b"")
    known.logins.on_change = told.append
    known.logins.apply("camera-1", device_record(version=2, **change))
    assert (known.logins.holds(login), told) == (False, ["camera-1"])


def test_c9_an_older_version_changes_nothing() -> None:
    known = Known()
    known.logins.apply("camera-1", device_record(version=5))
    known.logins.apply("camera-1", device_record(version=4, secret_sha256=b"x" * 32))
    assert known.logins.admit("camera-1", SECRET.encode(), b"")


def test_while_not_all_devices_are_known_nobody_is_turned_away_for_good() -> None:
    known = Known()
    known.reason = "still reading"
    with pytest.raises(Retry):
        known.logins.admit("camera-2", SECRET.encode(), b"")
    assert known.logins.admit("camera-1", SECRET.encode(), b"")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("authority"))


def certificate(authority: Authority, uri: str) -> bytes:
    return ssl.PEM_cert_to_DER_cert(authority.issue(uri).certificate_file.read_text())


def test_a_certificate_names_the_device(authority: Authority) -> None:
    known = Known()
    der = certificate(authority, "spiffe://alerthub/device/camera-1")
    assert known.logins.admit(None, None, der).may_publish("camera-1/x")
    with pytest.raises(NotAuthenticatedError):
        known.logins.admit("camera-2", None, der)


def test_s2_the_gateway_listens_and_publishes_nothing(authority: Authority) -> None:
    login = Known().logins.admit(None, None, certificate(authority, "spiffe://alerthub/service/gateway"))
    assert login.listens
    assert not login.may_publish("gateway/x")


@pytest.mark.parametrize("uri", ["service/dispatch", "terminal/unit-1", "device/camera-2"])
def test_no_other_certificate_logs_in(authority: Authority, uri: str) -> None:
    with pytest.raises(NotAuthenticatedError):
        Known().logins.admit(None, None, certificate(authority, f"spiffe://alerthub/{uri}"))


def test_s2_a_revoked_certificate_ends(authority: Authority) -> None:
    known = Known()
    der = certificate(authority, "spiffe://alerthub/device/camera-1")
    login = known.logins.admit(None, None, der)
    known.revocations.put(RevocationEntry("device:camera-1", 1, 1))
    assert not known.logins.holds(login)
    with pytest.raises(NotAuthenticatedError):
        known.logins.admit(None, None, der)


def test_s2_while_revocations_are_read_no_certificate_is_taken(authority: Authority) -> None:
    known = Known()
    known.reason = "still reading"
    with pytest.raises(Retry):
        known.logins.admit(None, None, certificate(authority, "spiffe://alerthub/device/camera-1"))
