"""Whatever is done to the audit log afterwards is found (C16)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from alerthub.audit_signing import HeadSigner, signature_verifier
from alerthub.domain.audit_chain import (
    GENESIS_HASH,
    AuditHead,
    AuditRow,
    Verification,
    chain,
    head_bytes,
    link_hash,
    verify,
)
from alerthub.domain.restores import RESTORED, Restore, detail_of, subject_of

KEY = Ed25519PrivateKey.generate()
PUBLIC_PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
SIGNER = HeadSigner(KEY, PUBLIC_PEM)
TEXT_FIELDS = ("row_id", "service", "actor", "action", "subject", "reason", "detail")

texts = st.text(max_size=5)
few = settings(max_examples=30)
"""Each example makes and verifies a log; the suite has half a minute for everything."""


@st.composite
def logs(draw: st.DrawFn, minimum: int = 1) -> tuple[list[AuditRow], AuditHead]:
    """A chained log as a service writes it, and its signed newest head."""
    count = draw(st.integers(minimum, 5))
    rows = [
        AuditRow(
            row_id=f"row-{number}",
            time_ms=draw(st.integers(0, 2**40)),
            service="watchlist",
            actor=draw(texts),
            action=draw(texts),
            subject=draw(texts),
            reason=draw(texts),
            detail=draw(texts),
        )
        for number in range(count)
    ]
    linked = chain(rows, last_index=0, last_hash=GENESIS_HASH)
    last = linked[-1]
    head = AuditHead(service="watchlist", chain_index=last.chain_index, hash=last.hash, time_ms=5)
    return linked, SIGNER.sign(head)


def problem(rows: list[AuditRow], *heads: AuditHead) -> str:
    finding = verification(rows, *heads).finding
    return "" if finding is None else finding.problem


def verification(rows: list[AuditRow], *heads: AuditHead) -> Verification:
    return verify(rows, heads, signature_problem=signature_verifier(trusted_key_pem=PUBLIC_PEM.encode()))


@few
@given(logs())
def test_a_log_that_nobody_touched_is_intact(log: tuple[list[AuditRow], AuditHead]) -> None:
    rows, head = log
    seen = verification(rows, head)
    assert seen.intact
    assert (seen.chained, seen.unchained, seen.heads) == (len(rows), 0, 1)


@few
@given(logs(), st.data())
def test_an_edited_field_is_found(log: tuple[list[AuditRow], AuditHead], data: st.DataObject) -> None:
    rows, head = log
    number = data.draw(st.integers(0, len(rows) - 1))
    field = data.draw(st.sampled_from(TEXT_FIELDS))
    value = data.draw(texts.filter(lambda text: text != getattr(rows[number], field)))
    edited: dict[str, Any] = {field: value}
    rows[number] = replace(rows[number], **edited)
    assert problem(rows, head)


@few
@given(logs(), st.data())
def test_a_changed_time_is_found(log: tuple[list[AuditRow], AuditHead], data: st.DataObject) -> None:
    rows, head = log
    number = data.draw(st.integers(0, len(rows) - 1))
    rows[number] = replace(rows[number], time_ms=rows[number].time_ms + 1)
    assert problem(rows, head)


@pytest.mark.parametrize(
    "change",
    [{"chain_index": 99}, {"previous_hash": b"x" * 32}, {"hash": b"x" * 32}],
    ids=lambda one: str([*one]),
)
@few
@given(log=logs(), data=st.data())
def test_an_edited_link_is_found(
    change: dict[str, Any], log: tuple[list[AuditRow], AuditHead], data: st.DataObject
) -> None:
    rows, head = log
    number = data.draw(st.integers(0, len(rows) - 1))
    rows[number] = replace(rows[number], **change)
    assert problem(rows, head)


@few
@given(logs(), st.data())
def test_a_removed_row_is_found_even_the_last(
    log: tuple[list[AuditRow], AuditHead], data: st.DataObject
) -> None:
    rows, head = log
    del rows[data.draw(st.integers(0, len(rows) - 1))]
    assert problem(rows, head)


@few
@given(logs(minimum=2), st.data())
def test_two_rows_that_changed_places_are_found(
    log: tuple[list[AuditRow], AuditHead], data: st.DataObject
) -> None:
    rows, head = log
    first, second = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=2, max_size=2, unique=True))
    rows[first], rows[second] = rows[second], rows[first]
    assert problem(rows, head)


@few
@given(logs(), st.data())
def test_a_cut_tail_is_found_by_the_head(log: tuple[list[AuditRow], AuditHead], data: st.DataObject) -> None:
    rows, head = log
    kept = data.draw(st.integers(0, len(rows) - 1))
    assert "cut off" in problem(rows[:kept], head)


@few
@given(logs(), st.data())
def test_an_inserted_row_is_found(log: tuple[list[AuditRow], AuditHead], data: st.DataObject) -> None:
    rows, head = log
    place = data.draw(st.integers(0, len(rows) - 1))
    rows.insert(place, replace(rows[place], row_id="another"))
    assert problem(rows, head)


@few
@given(logs(), st.data())
def test_a_chain_that_was_computed_again_contradicts_the_head(
    log: tuple[list[AuditRow], AuditHead], data: st.DataObject
) -> None:
    rows, head = log
    number = data.draw(st.integers(0, len(rows) - 1))
    rows[number] = replace(rows[number], actor=rows[number].actor + "x")
    forged = chain(rows, last_index=0, last_hash=GENESIS_HASH)
    assert verification(forged).intact, "without a head it looks right"
    assert "rewritten" in problem(forged, head)


@few
@given(logs())
def test_a_head_signed_by_somebody_else_is_found(log: tuple[list[AuditRow], AuditHead]) -> None:
    rows, head = log
    stranger = Ed25519PrivateKey.generate()
    pem = stranger.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    assert "signature" in problem(rows, HeadSigner(stranger, pem).sign(head))


@few
@given(logs(), st.integers(0, 63))
def test_a_damaged_signature_is_found(log: tuple[list[AuditRow], AuditHead], at: int) -> None:
    rows, head = log
    damaged = bytearray(head.signature)
    damaged[at] ^= 1
    assert "signature" in problem(rows, replace(head, signature=bytes(damaged)))


def test_rows_of_two_services_are_no_log() -> None:
    rows = [
        AuditRow(f"row-{service}", 1, service, "person:a", "Tried", "entry:1", "", "")
        for service in ("watchlist", "registry")
    ]
    assert "is of service registry" in problem(chain(rows, last_index=0, last_hash=GENESIS_HASH))


@few
@given(logs())
def test_a_head_of_another_service_is_found(log: tuple[list[AuditRow], AuditHead]) -> None:
    rows, head = log
    assert "is of service" in problem(rows, SIGNER.sign(replace(head, service="registry")))


@few
@given(logs())
def test_unchained_rows_are_counted_and_break_nothing(log: tuple[list[AuditRow], AuditHead]) -> None:
    rows, head = log
    waiting = replace(rows[0], row_id="waiting", chain_index=0, hash=b"", previous_hash=b"")
    seen = verification([*rows, waiting], head)
    assert seen.intact
    assert seen.unchained == 1


@few
@given(logs())
def test_a_row_that_lost_its_links_is_found(log: tuple[list[AuditRow], AuditHead]) -> None:
    rows, head = log
    rows[0] = replace(rows[0], chain_index=0, hash=b"", previous_hash=b"")
    assert problem(rows, head)


@few
@given(logs())
def test_a_row_in_two_places_is_found(log: tuple[list[AuditRow], AuditHead]) -> None:
    rows, head = log
    assert "twice" in problem([*rows, replace(rows[0], chain_index=0, hash=b"", previous_hash=b"")], head)


@few
@given(st.lists(texts, min_size=5, max_size=5), st.lists(texts, min_size=5, max_size=5))
def test_different_rows_have_different_bytes(left: list[str], right: list[str]) -> None:
    def hash_of(values: list[str]) -> bytes:
        actor, action, subject, reason, detail = values
        row = AuditRow("id", 1, "watchlist", actor, action, subject, reason, detail)
        return link_hash(row, chain_index=1, previous_hash=GENESIS_HASH)

    assert (hash_of(left) == hash_of(right)) == (left == right)


def test_text_that_moves_to_the_next_field_changes_the_hash() -> None:
    make: Callable[[str, str], AuditRow] = lambda actor, action: AuditRow(  # noqa: E731
        "id", 1, "watchlist", actor, action, "s", "", ""
    )
    hashes = {
        link_hash(make(*values), chain_index=1, previous_hash=GENESIS_HASH)
        for values in (("ab", "c"), ("a", "bc"), ("abc", ""), ("", "abc"))
    }
    assert len(hashes) == 4


@few
@given(st.integers(1, 2**60), st.integers(0, 2**60), st.binary(min_size=32, max_size=32))
def test_every_field_of_a_head_is_signed(index: int, time_ms: int, digest: bytes) -> None:
    head = AuditHead("watchlist", index, digest, time_ms)
    others = (
        replace(head, service="watchlis"),
        replace(head, chain_index=index + 1),
        replace(head, hash=bytes(31) + bytes([digest[31] ^ 1])),
        replace(head, time_ms=time_ms + 1),
    )
    assert head_bytes(head) not in {head_bytes(other) for other in others}


# After a restore (C19)


def _log_of(count: int, *, more: Sequence[AuditRow] = ()) -> list[AuditRow]:
    rows = [
        AuditRow(f"row-{number}", 10 * number, "watchlist", "person:a", "EntryApproved", "entry:1", "", "")
        for number in range(1, count + 1)
    ]
    return chain([*rows, *more], last_index=0, last_hash=GENESIS_HASH)


def _head_at(rows: list[AuditRow], index: int, *, time_ms: int) -> AuditHead:
    return SIGNER.sign(AuditHead("watchlist", index, rows[index - 1].hash, time_ms))


def _restored(*, last_link: int, time_ms: int = 1_000) -> AuditRow:
    restore = Restore("20261128T010203Z-0123abcd", 55, last_link, topics_kept=True)
    return AuditRow(
        "restored",
        time_ms,
        "watchlist",
        "command:alerthub-restore",
        RESTORED,
        subject_of(restore.backup_id),
        "",
        detail_of(restore),
    )


def test_rows_that_a_restore_lost_are_told_as_what_they_are() -> None:
    # given a log of nine rows, of which the backup had five, and heads of before and after it
    before = _log_of(9)
    heads = [_head_at(before, 4, time_ms=45), _head_at(before, 8, time_ms=85)]
    after = _log_of(5, more=[_restored(last_link=5)])

    seen = verification(after, *heads, _head_at(after, 6, time_ms=1_001))

    assert seen.finding is None
    [loss] = seen.losses
    assert (loss.first_link, loss.last_witnessed_link, loss.restored_at_link) == (6, 8, 6)
    assert not seen.intact
    assert seen.accepting([loss.backup_id])
    assert not seen.accepting(["another"])


def test_a_restore_explains_no_row_that_the_backup_had() -> None:
    before = _log_of(9)
    rewritten = chain(
        [*before[:2], replace(before[2], actor="person:b"), *before[3:5], _restored(last_link=5)],
        last_index=0,
        last_hash=GENESIS_HASH,
    )
    assert "rewritten" in problem(rewritten, _head_at(before, 4, time_ms=45))


def test_a_restore_explains_no_row_that_was_lost_after_it() -> None:
    after = _log_of(5, more=[_restored(last_link=5)])
    longer = _log_of(5, more=[_restored(last_link=5), replace(_log_of(1)[0], row_id="later", time_ms=2_000)])
    assert "cut off" in problem(after, _head_at(longer, 7, time_ms=2_000))
