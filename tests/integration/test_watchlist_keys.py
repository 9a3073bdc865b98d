"""Keys, masks and epochs between the real service and gateways (C9, C12, refusal 3)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from watchlist_support import (
    EDITOR,
    SUPERVISOR,
    Gateway,
    Hub,
    command,
    fresh_watchlist_fixture,  # noqa: F401
    new_entry,
    now_ms,
    own_hub_fixture,  # noqa: F401 - pytest finds it by its name
    refused,
    start_watchlist_fixture,  # noqa: F401
)

from alerthub import kafka
from alerthub.api.v1 import watchlist_pb2
from alerthub.domain.identifiers import IdentifierKind
from alerthub.grpc_errors import field_violations
from alerthub.postgres import transaction
from services.watchlist import key_store
from services.watchlist.settings import WatchlistSettings

PLATE = "冀RA8HK5"
WILDCARD = "1110111"
HOUR_MS = 3_600_000

Start = Callable[..., Awaitable[Hub]]


async def eventually(condition: Callable[[], Awaitable[bool]], *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.05)


class Reporting:
    """A gateway as it reports each second: prepared follows what it was given, unless it lags."""

    def __init__(self, hub: Hub, gateway_id: str, *, lags: bool = False) -> None:
        self._stub = hub.key_service()
        self._gateway_id = gateway_id
        self._lags = lags
        self.answer = watchlist_pb2.SynchroniseKeysResponse()

    async def report(self) -> watchlist_pb2.SynchroniseKeysResponse:
        self.answer = await self._stub.SynchroniseKeys(
            watchlist_pb2.SynchroniseKeysRequest(
                gateway_id=self._gateway_id,
                matching_version=self.answer.in_force.version,
                prepared_version=0 if self._lags else self.answer.next.version,
            )
        )
        return self.answer


def set_clock(hub: Hub, offset_ms: int) -> None:
    """The service's jobs and keys see a time that is ahead."""
    for part in (hub.service.jobs, hub.service.key_handlers):
        part._now_ms = lambda: now_ms() + offset_ms


async def test_watchlist_a_gateway_gets_keys_and_to_whom_it_seals(own_hub: Hub) -> None:
    answer = await Reporting(own_hub, "g1").report()
    assert answer.in_force.masks == ["exact", "confusable", "no-province"]
    assert len(answer.in_force.epoch_key) == 32
    assert answer.recipient.valid_until_ms > now_ms() + HOUR_MS


@pytest.mark.parametrize("service", ["correlator", "dispatch", "push", "registry", "console"])
async def test_watchlist_nobody_but_a_gateway_gets_keys(own_hub: Hub, service: str) -> None:
    error = await refused(
        own_hub.key_service(service).SynchroniseKeys(watchlist_pb2.SynchroniseKeysRequest(gateway_id="g"))
    )
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_watchlist_a_new_mask_is_in_force_only_once_every_live_gateway_has_it(own_hub: Hub) -> None:
    prompt, late = Reporting(own_hub, "g1"), Reporting(own_hub, "g2")
    await prompt.report()
    await late.report()
    await own_hub.listed(PLATE, masks=("exact", WILDCARD))

    async def prompt_has_it() -> bool:
        return (await prompt.report()).next.masks == ["exact", "confusable", "no-province", WILDCARD]

    await eventually(prompt_has_it)
    await prompt.report()
    await own_hub.service.jobs.round()
    assert WILDCARD not in (await prompt.report()).in_force.masks
    # The second gateway hears of it, and says so.
    await late.report()
    await late.report()

    async def in_force() -> bool:
        return WILDCARD in (await prompt.report()).in_force.masks

    await eventually(in_force)
    value = await own_hub.on_topic(
        "matching",
        "matching",
        lambda value: WILDCARD in watchlist_pb2.MatchingConfiguration.FromString(value or b"").masks,
    )
    assert watchlist_pb2.MatchingConfiguration.FromString(value or b"").version == 2


async def test_watchlist_a_seventeenth_mask_is_refused(own_hub: Hub) -> None:
    wildcards = [("1" * i) + "0" + "1" * (6 - i) for i in range(7)]
    longer = [("1" * i) + "0" + "1" * (7 - i) for i in range(6)]
    await own_hub.entered(PLATE, masks=tuple(wildcards))
    await own_hub.entered("京AD12345", masks=tuple(longer))
    error = await refused(
        own_hub.as_person("lin", EDITOR).AddEntry(
            watchlist_pb2.AddEntryRequest(
                command_id=command(), entry=new_entry("京AD12345", masks=("11111101",))
            )
        )
    )
    assert [violation.field for violation in field_violations(error)] == ["masks"]


async def test_watchlist_while_epochs_overlap_entries_carry_both_tokens_and_then_the_old_key_ends(
    own_hub: Hub,
) -> None:
    entry_id = await own_hub.listed(PLATE)
    old = Gateway(await Reporting(own_hub, "g1").report())
    set_clock(own_hub, 12 * HOUR_MS)
    await own_hub.service.jobs.round()
    both = await own_hub.published(entry_id, lambda value: len(value.tokens) == 2)
    assert old.blinder.token(IdentifierKind.PLATE, PLATE, "exact") in {t.token for t in both.tokens}

    async def changed() -> bool:
        await own_hub.service.jobs.round()
        return (await own_hub.gateway()).configuration.epoch != old.configuration.epoch

    await eventually(changed)
    new = await own_hub.gateway()
    assert new.blinder.token(IdentifierKind.PLATE, PLATE, "exact") in {t.token for t in both.tokens}
    # A read of the old epoch that was still on its way is found right.
    old.keyring = new.keyring
    await own_hub.as_service("dispatch").SealForAlert(
        old.seal_request(PLATE, alert_id="a1", entry_id=entry_id)
    )
    set_clock(own_hub, 13 * HOUR_MS + 60_000)
    await own_hub.service.jobs.round()
    assert own_hub.service._keys.inventory().epochs == (new.configuration.epoch,)
    error = await refused(
        own_hub.as_service("dispatch").SealForAlert(old.seal_request(PLATE, alert_id="a2", entry_id=entry_id))
    )
    assert [violation.field for violation in field_violations(error)] == ["epoch"]


async def test_watchlist_a_mask_that_no_entry_uses_any_more_is_dropped_with_the_epoch(own_hub: Hub) -> None:
    entry_id = await own_hub.listed(PLATE, masks=("exact", WILDCARD))

    gateway = Reporting(own_hub, "g1")

    async def in_force() -> bool:
        return WILDCARD in (await gateway.report()).in_force.masks

    await eventually(in_force)
    await own_hub.as_person("wang", SUPERVISOR).WithdrawEntry(
        watchlist_pb2.WithdrawEntryRequest(command_id=command(), entry_id=entry_id, reason="found")
    )
    await own_hub.service.key_handlers.forget_unused_masks()

    async def dropped() -> bool:
        return not await in_force()

    await eventually(dropped)


async def test_watchlist_is_not_ready_while_an_entry_lacks_the_epoch_in_force(own_hub: Hub) -> None:
    await own_hub.listed(PLATE)
    jobs = own_hub.service.jobs
    await jobs.stop()
    await own_hub.sql("UPDATE entry SET newest_epoch = ' '")
    await jobs._look_for_unmatched()
    assert "epoch in force" in (jobs.check() or "")
    await jobs.key_again()
    await jobs._look_for_unmatched()
    assert jobs.check() is None


async def test_watchlist_the_sealing_key_changes_each_hour_and_ends_with_the_retention(own_hub: Hub) -> None:
    first = (await own_hub.gateway()).keyring._recipient
    set_clock(own_hub, HOUR_MS)
    await own_hub.service.key_handlers.renew_recipient()
    second = (await own_hub.gateway()).keyring._recipient
    assert first is not None
    assert second is not None
    assert first.key_id != second.key_id
    set_clock(own_hub, int(2.3 * HOUR_MS))
    await own_hub.service.key_handlers.destroy_due()
    assert own_hub.service._keys.inventory().recipients == (second.key_id,)


async def test_watchlist_no_key_lies_in_the_database(own_hub: Hub) -> None:
    entry_id = await own_hub.listed(PLATE)
    gateway = await own_hub.gateway()
    await own_hub.as_service("dispatch").SealForAlert(
        gateway.seal_request(PLATE, alert_id="a1", entry_id=entry_id)
    )
    tables = await own_hub.sql(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
    )
    dump = ""
    for (table,) in tables:
        rows = await own_hub.sql(f'SELECT row::text FROM "{table}" AS row')  # noqa: S608 - names from the catalogue
        dump += "".join(str(row[0]) for row in rows)
    assert entry_id in dump
    keys = [
        gateway.configuration.epoch_key,
        own_hub.service._keys.entry_key(),
        own_hub.service._keys.alert_key(),
    ]
    for key in keys:
        assert key.hex() not in dump


async def test_watchlist_a_restart_goes_on_with_the_same_epoch(
    fresh_watchlist: None, start_watchlist: Start
) -> None:
    first = await start_watchlist()
    before = await first.gateway()
    await first.service.stop()
    again = await start_watchlist()
    assert (await again.gateway()).configuration == before.configuration


async def test_watchlist_an_epoch_whose_key_is_lost_is_replaced_and_entries_follow(
    fresh_watchlist: None, start_watchlist: Start
) -> None:
    first = await start_watchlist()
    entry_id = await first.listed(PLATE)
    old = await first.gateway()
    await first.service.stop()
    first.service._keys.destroy_epoch(old.configuration.epoch)
    again = await start_watchlist()
    new = await again.gateway()
    assert new.configuration.version == old.configuration.version + 1
    token = new.blinder.token(IdentifierKind.PLATE, PLATE, "exact")
    await again.published(entry_id, lambda value: token in {t.token for t in value.tokens})


async def test_watchlist_a_restored_database_takes_over_what_the_topics_know(
    fresh_watchlist: None, start_watchlist: Start
) -> None:
    before = await start_watchlist()
    entry_id = await before.listed(PLATE)
    await before.published(entry_id)
    await before.service.stop()
    # What the database forgot: a withdrawal, an entry that was active, a later configuration.
    producer = kafka.producer(before.kafka_settings("watchlist"), client_id="test")
    await producer.start()
    for key, status, version in (
        (entry_id, watchlist_pb2.ENTRY_STATUS_WITHDRAWN, 7),
        ("lost", watchlist_pb2.ENTRY_STATUS_ACTIVE, 3),
    ):
        value = watchlist_pb2.PublishedEntry(entry_id=key, status=status, version=version)
        await producer.send_and_wait("watchlist", value.SerializeToString(), key=key.encode())
    later = watchlist_pb2.MatchingConfiguration(version=9)
    await producer.send_and_wait("matching", later.SerializeToString(), key=b"matching")
    await producer.stop()
    restored = await start_watchlist()
    assert await restored.sql("SELECT status, version FROM entry") == [(3, 8)]
    assert (await restored.gateway()).configuration.version == 10
    lost = await restored.published("lost", lambda value: value.version == 4)
    assert lost.status == watchlist_pb2.ENTRY_STATUS_WITHDRAWN
    assert await restored.on_topic("watchlist", "lost", lambda value: value is None) is None
    rows = await restored.sql("SELECT subject, detail FROM audit_entry WHERE action = 'RestoredStateFound'")
    assert rows == [("service:watchlist", "2 entries were newer on the topic, 1 of them unknown")]


async def test_watchlist_a_value_that_the_topic_lacks_is_published_again(own_hub: Hub) -> None:
    entry_id = await own_hub.listed(PLATE)
    value = await own_hub.published(entry_id)
    producer = kafka.producer(own_hub.kafka_settings("watchlist"), client_id="test")
    await producer.start()
    # A relay that had lost its lock writes an older value late.
    older = watchlist_pb2.PublishedEntry(entry_id=entry_id, version=1)
    await producer.send_and_wait("watchlist", older.SerializeToString(), key=entry_id.encode())
    await producer.stop()
    republisher = own_hub.service.entries_republisher

    async def topic_is_behind() -> bool:
        return republisher._on_topic.get(entry_id) == 1

    await eventually(topic_is_behind)
    await republisher.compare_and_publish()

    async def topic_is_right() -> bool:
        return republisher._on_topic.get(entry_id) == value.version

    await eventually(topic_is_right)


async def test_watchlist_every_entry_is_keyed_again_once(own_hub: Hub) -> None:
    entries = [new_entry(f"京A{number:05d}") for number in range(1000)]
    await own_hub.as_person("lin", EDITOR).ImportEntries(
        watchlist_pb2.ImportEntriesRequest(command_id=command(), entries=entries)
    )
    await own_hub.sql(
        "UPDATE entry SET status = 2, approved_by = 'chen', active_from_ms = 1, version = 2,"
        " newest_epoch = ' '"
    )

    async def all_keyed() -> bool:
        return await own_hub.sql("SELECT count(*) FROM entry WHERE newest_epoch = ' '") == [(0,)]

    await eventually(all_keyed, seconds=60)
    async with transaction(own_hub.service.engine) as connection:
        state = await key_store.matching_state(connection)
    assert state is not None
    assert await own_hub.sql("SELECT DISTINCT newest_epoch, version FROM entry") == [
        (state.matching.in_force.epoch.name, 3)
    ]


@pytest.mark.parametrize("minutes", [0, 24 * 60 + 1])
def test_watchlist_a_retention_above_a_day_is_refused(minutes: int) -> None:
    values: dict[str, Any] = {"observations_retention_minutes": minutes}
    with pytest.raises(ValueError, match="observations_retention_minutes"):
        WatchlistSettings.model_validate(values)
