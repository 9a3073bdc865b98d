"""The self-test's answers, without a hub."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from alerthub.api.v1 import audit_pb2
from alerthub.domain.audit_chain import AuditRow, chain
from alerthub.domain.errors import Refuse, Retry
from alerthub.embedded.folder import HubFolder
from alerthub.provision import pki
from alerthub.selftest.audit_logs import verify_export
from alerthub.selftest.city import random_plate
from alerthub.selftest.hops import HopFailedError, Stopwatch, failure_json, success_json
from alerthub.selftest.persons import Account, account_with


def quiet(_: str) -> None:
    """Progress for nobody."""


async def test_a_hop_that_happened_is_measured() -> None:
    watch = Stopwatch(quiet)
    started = time.monotonic()
    async with watch.hop("wait", at_most_seconds=5):
        await asyncio.sleep(0.02)
    took_ms = (time.monotonic() - started) * 1000
    (hop,) = json.loads(success_json(watch.hops))["hops"]
    assert hop["name"] == "wait"
    assert 19 <= hop["ms"] <= took_ms + 1


async def _hop_with(error: Exception | None) -> HopFailedError:
    watch = Stopwatch(quiet)

    async def fail() -> None:
        async with watch.hop("device to gateway", at_most_seconds=0.05):
            if error is not None:
                raise error
            await asyncio.sleep(30)

    with pytest.raises(HopFailedError) as failed:
        await fail()
    assert watch.hops == []
    return failed.value


async def test_a_hop_that_takes_too_long_is_named() -> None:
    failed = await _hop_with(None)
    assert json.loads(failure_json(failed))["failed_hop"] == "device to gateway"


@pytest.mark.parametrize("error", [Retry("no answer"), Refuse("plate", "another one")])
async def test_a_hop_that_the_hub_refuses_is_named_with_the_reason(error: Exception) -> None:
    failed = await _hop_with(error)
    assert json.loads(failure_json(failed)) == {
        "ok": False,
        "failed_hop": "device to gateway",
        "reason": str(error),
    }


def test_entry_and_approval_are_by_two_people() -> None:
    both = frozenset({"ROLE_WATCHLIST_EDITOR", "ROLE_WATCHLIST_APPROVER"})
    accounts = [Account("a", "", both), Account("b", "", both)]
    editor = account_with(accounts, "ROLE_WATCHLIST_EDITOR")
    assert account_with(accounts, "ROLE_WATCHLIST_APPROVER", other_than=editor.name).name == "b"


def test_no_password_is_in_what_a_log_would_show() -> None:
    assert "secret" not in repr(Account("a", "secret", frozenset()))


def test_plates_of_two_runs_differ() -> None:
    assert len({random_plate() for _ in range(50)}) > 40


def _exported(*, tampered: bool) -> list[audit_pb2.AuditRow]:
    rows = [AuditRow(f"r{n}", n, "dispatch", "person:li", "Confirmed", "alert:a", "", "") for n in range(3)]
    linked = chain(rows, last_index=0, last_hash=bytes(32))
    exported = [
        audit_pb2.AuditRow(
            row_id=row.row_id,
            chain_index=row.chain_index,
            time_ms=row.time_ms,
            service=row.service,
            actor=row.actor,
            action=row.action,
            subject=row.subject,
            previous_hash=row.previous_hash,
            hash=row.hash,
        )
        for row in linked
    ]
    if tampered:
        exported[1].actor = "person:wang"
    return exported


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = HubFolder(tmp_path_factory.mktemp("hub"))
    folder.create()
    pki.ensure_pki(folder, now=pki.utc_now())
    return folder.ca_file


def test_an_audit_log_as_it_was_recorded_is_accepted(authority: Path) -> None:
    verify_export("dispatch", _exported(tampered=False), [], authority_file=authority)


def test_a_changed_audit_log_is_refused(authority: Path) -> None:
    with pytest.raises(Refuse, match="as it was recorded"):
        verify_export("dispatch", _exported(tampered=True), [], authority_file=authority)


def test_an_audit_log_that_nothing_protects_is_refused(authority: Path) -> None:
    unchained = _exported(tampered=False)
    for row in unchained:
        row.chain_index, row.hash, row.previous_hash = 0, b"", b""
    with pytest.raises(Refuse, match="chained"):
        verify_export("dispatch", unchained, [], authority_file=authority)
