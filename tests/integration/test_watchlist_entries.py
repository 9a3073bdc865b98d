"""Entries on the real database, topic and wire: two persons, publication, withdrawal, end (refusals 5 to
8)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import asyncpg
import grpc
import pytest
from sqlalchemy.exc import IntegrityError
from watchlist_support import (
    APPROVER,
    DAY_MS,
    EDITOR,
    SUPERVISOR,
    Hub,
    command,
    hub_fixture,  # noqa: F401 - pytest finds it by its name
    module_hub_fixture,  # noqa: F401
    new_entry,
    now_ms,
    refused,
)

from alerthub import kafka
from alerthub.api.v1 import common_pb2, registry_pb2, watchlist_pb2
from alerthub.domain.identifiers import IdentifierKind
from alerthub.grpc_errors import field_violations
from alerthub.outbox import CHANNEL, Message, enqueue_all
from alerthub.postgres import transaction, violated_constraint
from alerthub.settings import PostgresSettings

PLATE = "冀RA8HK5"
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def entered(hub: Hub, **kind: Any) -> str:
    answer = await hub.as_person("lin", EDITOR, APPROVER).AddEntry(
        watchlist_pb2.AddEntryRequest(command_id=command(), entry=new_entry(PLATE, **kind))
    )
    return answer.entry_id


def approval(entry_id: str) -> watchlist_pb2.ApproveEntryRequest:
    return watchlist_pb2.ApproveEntryRequest(command_id=command(), entry_id=entry_id)


async def test_watchlist_an_approved_entry_is_published_with_tokens_and_without_identifiers(hub: Hub) -> None:
    entry_id = await hub.listed(PLATE, masks=("exact", "confusable"))
    value = await hub.on_topic("watchlist", entry_id, lambda value: value is not None)
    published = watchlist_pb2.PublishedEntry.FromString(value or b"")
    gateway = await hub.gateway()
    assert published.status == watchlist_pb2.ENTRY_STATUS_ACTIVE
    assert {token.token for token in published.tokens} == {
        gateway.blinder.token(IdentifierKind.PLATE, PLATE, mask) for mask in ("exact", "confusable")
    }
    assert PLATE.encode() not in (value or b"")
    assert b"RA8HK5" not in (value or b"")


async def test_watchlist_the_approver_is_told_from_when_correlators_match(hub: Hub) -> None:
    entry_id = await entered(hub)
    answer = await hub.as_person("chen", APPROVER).ApproveEntry(approval(entry_id))
    published = await hub.published(entry_id)
    assert published.active_from_ms == answer.active_from_ms > 0


async def test_watchlist_self_approval_is_refused_by_code(hub: Hub) -> None:
    entry_id = await entered(hub)
    error = await refused(hub.as_person("lin", EDITOR, APPROVER).ApproveEntry(approval(entry_id)))
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "another person" in (error.details() or "")
    assert await hub.sql("SELECT status, approved_by FROM entry") == [(1, None)]


async def test_watchlist_nobody_approves_what_a_person_entered_who_has_left(hub: Hub) -> None:
    leaver = f"leaver-{uuid.uuid4().hex[:8]}"
    person = hub.as_person(leaver, EDITOR)
    added = await person.AddEntry(watchlist_pb2.AddEntryRequest(command_id=command(), entry=new_entry(PLATE)))
    subject = f"account:{leaver}"
    revocation = registry_pb2.Revocation(version=1, subject=subject, revoked_at_ms=now_ms())
    async with kafka.producer(hub.kafka_settings("admin"), client_id="test") as producer:
        await producer.send_and_wait("revocations", revocation.SerializeToString(), key=subject.encode())

    async def known() -> bool:
        try:
            await person.ListEntries(watchlist_pb2.ListEntriesRequest(), timeout=5)
        except grpc.aio.AioRpcError as error:
            return error.code() is grpc.StatusCode.UNAUTHENTICATED
        return False

    async with asyncio.timeout(10):
        while not await known():
            pass
    error = await refused(hub.as_person("bo", APPROVER).ApproveEntry(approval(added.entry_id)))
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert await hub.sql("SELECT status, approved_by FROM entry") == [(1, None)]


async def test_watchlist_self_approval_is_refused_by_the_database(hub: Hub) -> None:
    await entered(hub)
    with pytest.raises(IntegrityError) as error:
        await hub.sql("UPDATE entry SET status = 2, approved_by = entered_by, active_from_ms = 1")
    assert violated_constraint(error.value) == "entry_needs_two_persons"


async def test_watchlist_an_entry_without_approval_cannot_be_active_in_the_database(hub: Hub) -> None:
    await entered(hub)
    with pytest.raises(IntegrityError) as error:
        await hub.sql("UPDATE entry SET status = 2, active_from_ms = 1")
    assert violated_constraint(error.value) == "entry_works_only_approved"


async def test_watchlist_the_database_takes_no_entry_as_approved_from_the_start(hub: Hub) -> None:
    await entered(hub)
    with pytest.raises(IntegrityError) as error:
        await hub.sql(
            "INSERT INTO entry SELECT 'copy', version, 2, category, names_person, case_number, legal_basis,"
            " issuing_authority, authority_contact, instruction_chinese, instruction_english, valid_until_ms,"
            " entered_by, entered_at_ms, 'chen', 1, NULL, sealed_identifiers, identifier_count, masks"
            " FROM entry"
        )
    assert violated_constraint(error.value) == "entry_waits_for_approval"


@pytest.mark.parametrize("column", ["entered_by = 'wang'", "case_number = 'B'", "sealed_identifiers = 'x'"])
async def test_watchlist_what_was_entered_cannot_be_changed_under_its_approver(hub: Hub, column: str) -> None:
    await entered(hub)
    with pytest.raises(IntegrityError) as error:
        await hub.sql(f"UPDATE entry SET {column}")  # noqa: S608 - constants of this test
    assert violated_constraint(error.value) == "entry_is_final"


async def test_watchlist_a_category_that_names_persons_is_never_sent_at_once(hub: Hub) -> None:
    with pytest.raises(IntegrityError) as error:
        await hub.sql("UPDATE category SET policy = 2 WHERE category = 'wanted_person_vehicle'")
    assert violated_constraint(error.value) == "category_of_persons_is_confirmed_first"


async def test_watchlist_an_entry_cannot_deny_that_its_category_names_persons(hub: Hub) -> None:
    await entered(hub, category="wanted_person_vehicle")
    published = await hub.sql("SELECT names_person FROM entry")
    assert published == [(True,)]
    with pytest.raises(IntegrityError):
        await hub.sql("UPDATE entry SET names_person = false")


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("case_number", "case_number"),
        ("legal_basis", "legal_basis"),
        ("issuing_authority", "issuing_authority"),
        ("authority_contact", "authority_contact"),
        ("instruction", "instruction"),
        ("valid_until_ms", "valid_until_ms"),
        ("identifiers", "identifiers"),
    ],
)
async def test_watchlist_an_entry_without_its_grounds_is_refused_by_the_field(
    hub: Hub, field: str, expected: str
) -> None:
    entry = new_entry(PLATE)
    entry.ClearField(field)  # type: ignore[arg-type]
    error = await refused(
        hub.as_person("lin", EDITOR).AddEntry(
            watchlist_pb2.AddEntryRequest(command_id=command(), entry=entry)
        )
    )
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert any(expected in violation.field for violation in field_violations(error))
    assert await hub.sql("SELECT count(*) FROM entry") == [(0,)]


async def test_watchlist_an_entry_longer_than_its_category_allows_is_refused(hub: Hub) -> None:
    error = await refused(
        hub.as_person("lin", EDITOR).AddEntry(
            watchlist_pb2.AddEntryRequest(command_id=command(), entry=new_entry(PLATE, days=731))
        )
    )
    assert [violation.field for violation in field_violations(error)] == ["entry.valid_until_ms"]


async def test_watchlist_a_plate_that_somebody_could_have_is_no_canary(hub: Hub) -> None:
    error = await refused(
        hub.as_person("lin", EDITOR).AddEntry(
            watchlist_pb2.AddEntryRequest(command_id=command(), entry=new_entry(PLATE, category="canary"))
        )
    )
    assert [violation.field for violation in field_violations(error)] == ["entry.identifiers[0].text"]


async def test_watchlist_a_plate_that_is_listed_already_is_entered_without_a_word(hub: Hub) -> None:
    await hub.listed(PLATE)
    again = await entered(hub)
    assert again


async def test_watchlist_a_repeated_command_enters_once(hub: Hub) -> None:
    request = watchlist_pb2.AddEntryRequest(command_id=command(), entry=new_entry(PLATE))
    editor = hub.as_person("lin", EDITOR)
    first, second = await asyncio.gather(editor.AddEntry(request), editor.AddEntry(request))
    assert first.entry_id == second.entry_id
    assert await hub.sql("SELECT count(*) FROM entry") == [(1,)]


async def test_watchlist_an_import_is_all_or_nothing(hub: Hub) -> None:
    bad = new_entry("noPlate")
    error = await refused(
        hub.as_person("lin", EDITOR).ImportEntries(
            watchlist_pb2.ImportEntriesRequest(command_id=command(), entries=[new_entry(PLATE), bad])
        )
    )
    assert field_violations(error)[0].field == "entries[1].identifiers[0].text"
    assert await hub.sql("SELECT count(*) FROM entry") == [(0,)]


async def test_watchlist_imported_entries_wait_for_a_second_person_each(hub: Hub) -> None:
    answer = await hub.as_person("lin", EDITOR, APPROVER).ImportEntries(
        watchlist_pb2.ImportEntriesRequest(
            command_id=command(), entries=[new_entry(PLATE), new_entry("京A12345")]
        )
    )
    assert await hub.sql("SELECT DISTINCT status FROM entry") == [(1,)]
    for entry_id in answer.entry_ids:
        error = await refused(hub.as_person("lin", EDITOR, APPROVER).ApproveEntry(approval(entry_id)))
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert await hub.sql("SELECT count(*) FROM outbox WHERE topic = 'watchlist'") == [(0,)]


async def test_watchlist_a_withdrawal_is_on_the_topic_within_two_seconds(hub: Hub) -> None:
    entry_id = await hub.listed(PLATE)
    active = await hub.published(entry_id)
    before = now_ms()
    await hub.as_person("wang", SUPERVISOR).WithdrawEntry(
        watchlist_pb2.WithdrawEntryRequest(command_id=command(), entry_id=entry_id, reason="found")
    )
    withdrawn = await hub.published(
        entry_id, lambda value: value.status == watchlist_pb2.ENTRY_STATUS_WITHDRAWN
    )
    assert now_ms() - before < 2000
    assert withdrawn.version > active.version
    assert not withdrawn.tokens


async def test_watchlist_an_entry_expires_by_itself_and_that_is_published(hub: Hub) -> None:
    entry_id = await hub.listed(PLATE, days=2_000 / DAY_MS)
    await hub.published(entry_id, lambda value: value.status == watchlist_pb2.ENTRY_STATUS_EXPIRED)
    error = await refused(
        hub.as_person("wang", SUPERVISOR).WithdrawEntry(
            watchlist_pb2.WithdrawEntryRequest(command_id=command(), entry_id=entry_id, reason="late")
        )
    )
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_watchlist_a_withdrawal_becomes_a_tombstone_only_after_the_entrys_end(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry_id = await hub.listed(PLATE)
    await hub.as_person("wang", SUPERVISOR).WithdrawEntry(
        watchlist_pb2.WithdrawEntryRequest(command_id=command(), entry_id=entry_id, reason="found")
    )
    assert await hub.service.jobs.remove_ended() == 0
    monkeypatch.setattr(hub.service.jobs, "_now_ms", lambda: now_ms() + 3 * DAY_MS)
    await hub.service.jobs.remove_ended()
    assert await hub.on_topic("watchlist", entry_id, lambda value: value is None) is None


async def test_watchlist_lists_entries_in_pages_without_identifiers(hub: Hub) -> None:
    for _ in range(3):
        await entered(hub)
    stub = hub.as_person("wang", SUPERVISOR)
    first = await stub.ListEntries(watchlist_pb2.ListEntriesRequest(page_size=2))
    second = await stub.ListEntries(
        watchlist_pb2.ListEntriesRequest(page_size=2, page_token=first.next_page_token)
    )
    assert [len(first.entries), len(second.entries), second.next_page_token] == [2, 1, ""]
    assert PLATE.encode() not in first.SerializeToString() + second.SerializeToString()


async def test_watchlist_no_identifier_lies_readable_in_the_database(hub: Hub) -> None:
    await hub.listed(PLATE)
    found = await hub.sql(
        "SELECT (SELECT string_agg(entry::text, '') FROM entry) || (SELECT string_agg(audit_entry::text, '')"
        " FROM audit_entry) || coalesce((SELECT string_agg(encode(value, 'escape'), '') FROM outbox), '')"
        " || (SELECT string_agg(command::text || encode(response, 'escape'), '') FROM command)"
    )
    dump = str(found[0][0])
    assert "A-2026-17" in dump
    for spelled in (PLATE, "RA8HK5", PLATE.encode().hex(), b"RA8HK5".hex()):
        assert spelled not in dump


async def test_watchlist_every_change_is_in_the_audit_log(hub: Hub) -> None:
    entry_id = await hub.listed(PLATE)
    await hub.as_person("wang", SUPERVISOR).WithdrawEntry(
        watchlist_pb2.WithdrawEntryRequest(command_id=command(), entry_id=entry_id, reason="found")
    )
    rows = await hub.audit("EntryAdded", "EntryApproved", "EntryWithdrawn")
    subject = f"entry:{entry_id}"
    assert [row[:4] for row in rows] == [
        ("EntryAdded", "person:lin", subject, "A-2026-17"),
        ("EntryApproved", "person:chen", subject, "A-2026-17"),
        ("EntryWithdrawn", "person:wang", subject, "found"),
    ]


async def test_watchlist_a_wanted_person_is_published_as_a_person_to_be_confirmed_first(hub: Hub) -> None:
    entry_id = await hub.listed(PLATE, category="wanted_person_vehicle")
    published = await hub.published(entry_id)
    assert published.names_person
    assert published.policy == common_pb2.DISPATCH_POLICY_CONFIRM_FIRST


async def test_watchlist_is_ready_when_it_can_work(hub: Hub) -> None:
    assert hub.service.operations is not None
    # The registry owns the revocations, and does not run here. Tests before this one took entries out of the
    # database that are on the topic, which is told as what it is.
    others = {"revocations", "topic_watchlist"}
    for name, check in hub.service.operations._ready.items():
        if name not in others:
            assert check() is None, name


async def test_watchlist_what_a_job_publishes_of_many_entries_wakes_the_relay(
    hub: Hub, postgres_settings: Callable[[str], PostgresSettings]
) -> None:
    # given somebody who listens as the relay does
    settings = postgres_settings("watchlist")
    listener = await asyncpg.connect(
        host=settings.host,
        port=settings.port,
        user=settings.role,
        password=settings.password(),
        database=settings.database,
    )
    woken = asyncio.Event()
    await listener.add_listener(f"{CHANNEL}watchlist", lambda *_: woken.set())

    # when entries leave the topic together
    async with transaction(hub.service.engine) as connection:
        await enqueue_all(connection, [Message("watchlist", f"gone-{number}", 1, None) for number in (1, 2)])

    # then nobody waits for the next poll
    async with asyncio.timeout(10):
        await woken.wait()
    await listener.close()
