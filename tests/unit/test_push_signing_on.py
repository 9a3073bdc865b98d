"""Who may hold a terminal's stream (S2), and where a stream resumes (C10)."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from alerthub.alert_events import HISTORY_EVENTS, AlertEventTail
from alerthub.api.v1 import access_pb2, alert_pb2, registry_pb2
from alerthub.domain.errors import NotAllowed
from alerthub.domain.reasons import Reason
from alerthub.identity import (
    NotAuthenticatedError,
    RevocationEntry,
    RevocationList,
    TokenSigner,
    TokenVerifier,
)
from alerthub.settings import KafkaSettings
from alerthub.units import UnitDirectory
from services.push.signing_on import SigningOn
from services.push.stream import now_ms

KEY = Ed25519PrivateKey.generate()
SIGNER = TokenSigner(KEY)
OFFICER = access_pb2.ROLE_OFFICER


def unit(version: int = 1, **shift: object) -> bytes:
    values: dict[str, object] = {
        "shift_id": "s",
        "status": registry_pb2.LIFE_STATUS_ACTIVE,
        "from_ms": now_ms() - 1_000,
        "until_ms": now_ms() + 60_000,
        "officers": ["wang"],
    }
    return registry_pb2.Unit(
        unit_id="u1",
        version=version,
        status=registry_pb2.LIFE_STATUS_ACTIVE,
        shifts=[registry_pb2.Shift(**(values | shift))],  # type: ignore[arg-type]
    ).SerializeToString()


def signing_on(value: bytes, revocations: RevocationList | None = None) -> SigningOn:
    known = RevocationList() if revocations is None else revocations
    units = UnitDirectory()
    units.apply("u1", value)
    verifier = TokenVerifier(KEY.public_key(), audience="push", revocations=known)
    return SigningOn(verifier, known, units)


def token(account: str = "wang", role: access_pb2.Role.ValueType = OFFICER) -> str:
    return SIGNER.sign(account=account, roles=[role], audience="push", now_ms=now_ms())[0]


def test_an_officer_on_a_current_shift_of_the_unit_is_admitted() -> None:
    assert signing_on(unit()).admit(token(), "u1", now_ms()).name == "wang"


@pytest.mark.parametrize(
    "value",
    [
        unit(officers=["sun"]),
        unit(until_ms=now_ms() - 1),
        unit(from_ms=now_ms() + 3_600_000, until_ms=now_ms() + 7_200_000),
        unit(status=registry_pb2.LIFE_STATUS_REMOVED),
        unit(active_from_ms=now_ms() + 3_600_000, until_ms=now_ms() + 7_200_000),
    ],
    ids=["another officer's", "over", "to come", "removed", "not in force yet"],
)
def test_an_officer_who_is_on_no_current_shift_is_not(value: bytes) -> None:
    with pytest.raises(NotAllowed, match="current shift"):
        signing_on(value).admit(token(), "u1", now_ms())


def test_an_officer_of_another_unit_is_not() -> None:
    with pytest.raises(NotAllowed):
        signing_on(unit()).admit(token(), "u2", now_ms())


def test_somebody_who_is_no_officer_is_not() -> None:
    with pytest.raises(NotAllowed, match="officer"):
        signing_on(unit()).admit(token(role=access_pb2.ROLE_OPERATOR), "u1", now_ms())


def test_a_revoked_account_is_neither_admitted_nor_kept() -> None:
    revocations = RevocationList()
    guard = signing_on(unit(), revocations)
    held = token()
    officer = guard.admit(held, "u1", now_ms())
    revocations.put(RevocationEntry("account:wang", 1, now_ms()))

    assert guard.signed_off_because(officer, "u1", now_ms()) is Reason.ACCOUNT_REVOKED
    with pytest.raises(NotAuthenticatedError):
        guard.admit(held, "u1", now_ms())


def _tail(events: int, *, first: int = 0) -> AlertEventTail:
    tail = AlertEventTail(KafkaSettings(), client_id="t")
    tail._topic_id, tail._positions, tail._oldest = "topic", {0: first}, {0: first}
    for offset in range(first, first + events):
        unit_id = "u1" if offset % 2 else "u2"
        alert = alert_pb2.Alert(alert_id=str(offset), assignments=[alert_pb2.Assignment(unit_id=unit_id)])
        tail._take(0, offset, alert_pb2.AlertEvent(alert=alert).SerializeToString())
    return tail


def test_c10_a_token_gets_what_came_after_it_for_this_unit() -> None:
    replayed = _tail(6).replay("topic.0-2", "u1")
    assert replayed is not None
    assert [each.event.alert.alert_id for each in replayed] == ["3", "5"]
    assert replayed[-1].resume_token.endswith(".0-6")


@pytest.mark.parametrize(
    "foreign", ["other.0-2", "topic.1-2", "topic.0-2.1-2", "topic.0-99", "topic.0-1", "nonsense"]
)
def test_c10_a_token_of_another_topic_or_place_gets_a_snapshot(foreign: str) -> None:
    assert _tail(6, first=2).replay(foreign) is None


def test_c10_a_token_that_is_older_than_what_is_remembered_gets_a_snapshot() -> None:
    tail = _tail(HISTORY_EVENTS + 10)
    assert tail.replay("topic.0-9") is None
    replayed = tail.replay("topic.0-10")
    assert replayed is not None
    assert len(replayed) == HISTORY_EVENTS


def test_c5_a_unit_counts_from_its_activation_on() -> None:
    units = UnitDirectory()
    units.apply("u1", registry_pb2.Unit(unit_id="u1", version=1, unit_kind="patrol").SerializeToString())
    later = registry_pb2.Unit(unit_id="u1", version=2, unit_kind="tow", active_from_ms=1_000)
    units.apply("u1", later.SerializeToString())
    before, after = units.get("u1", 999), units.get("u1", 1_000)
    assert before is not None
    assert after is not None
    assert (before.kind, after.kind) == ("patrol", "tow")
    # an older version that comes late changes nothing
    units.apply("u1", registry_pb2.Unit(unit_id="u1", version=1).SerializeToString())
    assert units.get("u1", 1_000) == after
