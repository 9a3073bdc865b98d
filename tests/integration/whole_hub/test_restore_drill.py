"""The drill: a hub loses its database and is restored from a backup that is older than its topics (C19).

One hub of its own, since it is stopped and loses what it has. Each test looks at what came back.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from running_hub import RunningHub
from town import BY_URL, CAMERA, PERSON, VEHICLE, Town, town_of
from typer.testing import CliRunner

from alerthub.api.v1 import alert_pb2
from alerthub.api.v1.registry_pb2 import (
    ApplyResourcesRequest,
    ListResourcesRequest,
    Resource,
    RevokeRequest,
)
from alerthub.backup import keeper_keys
from alerthub.cli.main import application
from alerthub.domain.errors import AlertHubError
from alerthub.embedded.folder import HubFolder
from alerthub.embedded.postgres_node import PostgresNode
from alerthub.embedded.processes import free_ports
from alerthub.keys import FileKeyProvider
from alerthub.sealing import CannotOpenError, DataKeyring, Opener, Sealed
from alerthub.selftest.persons import People, account_with, bootstrap_accounts, called

HOUR_MS = 3_600_000
LEAVER = "officer-3"
LATER_CAMERA = "story-camera-of-later"
OPEN = (alert_pb2.ALERT_STATUS_AWAITING_CONFIRMATION, alert_pb2.ALERT_STATUS_ESCALATED)


def command(*arguments: str, code: int = 0) -> dict[str, Any]:
    """What `alerthub` answers with --json."""
    done = CliRunner().invoke(application(), [*arguments, "--json"])
    assert done.exit_code == code, done.output
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@dataclass(frozen=True, slots=True)
class Drill:
    """What was when the backup was taken, what happened after it, and the hub that was restored."""

    hub: RunningHub
    keeper_key: Path
    backup: Path
    still_listed: tuple[str, str]
    """Plate and entry that the backup has, and nobody has withdrawn."""
    withdrawn_later: tuple[str, str]
    approved_later: tuple[str, str]
    open_alert: str
    """It waited for its confirmation when the backup was taken."""
    rejected_later: str
    raised_later: str
    """Of `still_listed`: the backup has never heard of it."""
    old_seal: Sealed
    old_key: bytes
    live_keys: tuple[bytes, ...]
    refused_while_running: dict[str, Any]


@pytest.fixture(scope="module")
def drill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    folder = tmp_path_factory.mktemp("drill")
    hub = RunningHub(folder / "hub")
    try:
        drilled = asyncio.run(_before_the_loss(hub, folder))
    finally:
        hub.stop()
    # The disaster: nothing of PostgreSQL is left.
    shutil.rmtree(hub.folder.postgres)
    command("restore", str(drilled.backup), "--key", str(drilled.keeper_key), "--data", str(hub.folder.root))
    again = RunningHub(hub.folder.root)
    again.secrets, again.plates = hub.secrets, hub.plates
    try:
        yield Drill(**{name: getattr(drilled, name) for name in Drill.__slots__} | {"hub": again})
    finally:
        again.stop()


async def _before_the_loss(hub: RunningHub, folder: Path) -> Drill:
    private_file, public_file = folder / "keeper.key", folder / "keeper.pub"
    keeper_keys.make_pair(private_file=private_file, public_file=public_file)
    async with town_of(hub) as town:
        # given entries, two alerts that wait, an enrolled terminal, and a seal whose hour is over
        listed, withdrawn = await town.list_plate(VEHICLE), await town.list_plate(VEHICLE)
        waiting, rejected = await town.list_plate(PERSON), await town.list_plate(PERSON)
        for plate, _ in (waiting, rejected):
            await town.read(plate)
        open_alert, other = await town.awaiting(waiting[1]), await town.awaiting(rejected[1])
        async with town.patrol(folder / "terminal"):
            pass
        seal, old_key = await _seal_of_two_hours_ago(hub)
        # when it is backed up
        arguments = ["backup", "--to", str(folder / "backups"), "--key", str(public_file)]
        taken = await asyncio.to_thread(command, *arguments, "--data", str(hub.folder.root))
        backup = Path(taken["folder"])
        # and things happen after it
        await town.withdraw(withdrawn[1])
        approved = await town.list_plate(VEHICLE)
        await called(
            town.dispatch.RejectAlert(
                alert_pb2.RejectAlertRequest(
                    command_id=str(uuid.uuid4()), alert_id=other.alert_id, reason="another vehicle"
                ),
                timeout=15,
            )
        )
        await town.read(listed[0])
        raised = await town.opened(listed[1])
        await called(town.registry.Revoke(RevokeRequest(account=LEAVER, reason="left"), timeout=15))
        await _change_the_town(town)
        refused = await asyncio.to_thread(
            command,
            *("restore", str(backup), "--key", str(private_file), "--data", str(hub.folder.root)),
            code=2,
        )
    provider = FileKeyProvider(hub.folder.keys)
    now_ms = time.time_ns() // 1_000_000
    live = [provider.entry_key(), provider.alert_key()]
    live += [provider.epoch_key(epoch, now_ms=now_ms) for epoch in provider.inventory().epochs]
    live += [provider.private_key(each.key_id, now_ms=now_ms) for each in provider.recipients(now_ms=now_ms)]
    return Drill(
        hub=hub,
        keeper_key=private_file,
        backup=backup,
        still_listed=listed,
        withdrawn_later=withdrawn,
        approved_later=approved,
        open_alert=open_alert.alert_id,
        rejected_later=other.alert_id,
        raised_later=raised.alert_id,
        old_seal=seal,
        old_key=old_key,
        live_keys=tuple(live),
        refused_while_running=refused,
    )


async def _change_the_town(town: Town) -> None:
    """One camera loses its authorisation, and another one comes."""
    [right] = await _listed(town, "authorisation")
    camera = next(each.device for each in await _listed(town, "device") if each.device.device_id == CAMERA)
    for message in (right.authorisation, camera):
        for name in ("version", "active_from_ms"):
            message.ClearField(name)
    right.authorisation.device_ids.remove(BY_URL)
    camera.device_id = LATER_CAMERA
    camera.ClearField("authorisations")
    camera.ClearField("secret_sha256")
    request = ApplyResourcesRequest(command_id=str(uuid.uuid4()), resources=[right, Resource(device=camera)])
    await called(town.registry.ApplyResources(request, timeout=15))


async def _listed(town: Town, kind: str) -> list[Resource]:
    listed = await called(town.registry.ListResources(ListResourcesRequest(kind=kind), timeout=15))
    return list(listed.resources)


async def _seal_of_two_hours_ago(hub: RunningHub) -> tuple[Sealed, bytes]:
    """Sealed under a key pair of two hours ago, which the hub's own job has destroyed by now."""
    provider = FileKeyProvider(hub.folder.keys)
    now_ms = time.time_ns() // 1_000_000
    then_ms = now_ms - 2 * HOUR_MS
    recipient = provider.create_recipient(
        now_ms=then_ms, valid_until_ms=then_ms + HOUR_MS, destroy_at_ms=now_ms - 1
    )
    key = provider.private_key(recipient.key_id, now_ms=then_ms)
    sealed = DataKeyring(recipient).seal(b"a plate", b"observation", then_ms)
    async with asyncio.timeout(30):
        while recipient.key_id in provider.inventory().recipients:  # noqa: ASYNC110 - another process does it
            await asyncio.sleep(0.1)
    return sealed, key


@pytest.fixture
async def town(drill: Drill) -> AsyncIterator[Town]:
    async with town_of(drill.hub) as town:
        yield town


# What matches, and what does not


async def test_c19_what_was_withdrawn_after_the_backup_never_matches(drill: Drill, town: Town) -> None:
    for plate, _ in (drill.withdrawn_later, drill.approved_later, drill.still_listed):
        await town.read(plate)

    # One district is one partition: what was read before is evaluated before.
    plate, entry_id = await town.list_plate(VEHICLE)
    await town.read(plate)
    await town.opened(entry_id)

    assert await town.alerts_of(drill.withdrawn_later[1]) == []
    assert await town.alerts_of(drill.approved_later[1]) == []
    [known] = await town.alerts_of(drill.still_listed[1])
    assert known.sighting_count > 1


async def test_c19_newer_versions_of_alerts_on_the_topic_win(drill: Drill, town: Town) -> None:
    statuses = [number for number in alert_pb2.AlertStatus.values() if number]
    request = alert_pb2.ListAlertsRequest(statuses=statuses, page_size=500)
    listed = await called(town.dispatch.ListAlerts(request, timeout=15))
    status = {alert.alert_id: alert.status for alert in listed.alerts}

    assert status[drill.rejected_later] == alert_pb2.ALERT_STATUS_REJECTED
    # Nobody knows what came of it: a supervisor looks.
    assert status[drill.raised_later] in OPEN


async def test_c19_an_open_alert_goes_on_to_the_terminal_that_was_enrolled_before(
    drill: Drill, town: Town
) -> None:
    [alert] = [
        each
        for each in (
            await called(town.dispatch.ListAlerts(alert_pb2.ListAlertsRequest(page_size=500), timeout=15))
        ).alerts
        if each.alert_id == drill.open_alert
    ]
    assert alert.sightings[-1].has_picture

    async with town.patrol(drill.keeper_key.with_name("terminal")) as patrol:
        await town.confirm(alert)
        shown = await patrol.shows_entry(alert.entry_id)

    assert shown.push.alert.alert_id == drill.open_alert


async def test_c19_devices_and_authorisations_are_as_the_topics_tell(drill: Drill, town: Town) -> None:
    devices = {each.device.device_id: each.device for each in await _listed(town, "device")}
    [right] = await _listed(town, "authorisation")

    assert LATER_CAMERA in devices
    assert devices[BY_URL].authorisations == []
    assert right.authorisation.device_ids == [CAMERA]
    # And it has gone on from there: the registry may change what it took over.
    again = Resource(device=devices[LATER_CAMERA])
    again.device.name = "renamed"
    for name in ("version", "active_from_ms"):
        again.device.ClearField(name)
    request = ApplyResourcesRequest(command_id=str(uuid.uuid4()), resources=[again])
    applied = await called(town.registry.ApplyResources(request, timeout=15))
    assert applied.changes


async def test_c19_who_left_after_the_backup_does_not_come_back(drill: Drill) -> None:
    leaver = next(each for each in bootstrap_accounts(drill.hub.folder.accounts_file) if each.name == LEAVER)
    people = People(drill.hub.facts.persons, drill.hub.folder.ca_file)
    try:
        with pytest.raises(AlertHubError):
            await people.token(leaver, "push")
    finally:
        await people.close()


# The record


@pytest.mark.parametrize("service", ["registry", "watchlist", "dispatch"])
def test_c19_lost_rows_are_told_as_a_loss_by_the_restore_and_the_chain_goes_on(
    drill: Drill, service: str, tmp_path: Path
) -> None:
    folder = drill.hub.folder
    auditor = account_with(bootstrap_accounts(folder.accounts_file), "ROLE_AUDITOR")
    exported = tmp_path / f"{service}.jsonl"
    export = ["audit", "export", "--service", service, "--account", auditor.name]
    done = CliRunner().invoke(application(), [*export, "--data", str(folder.root), "--output", str(exported)])
    assert done.exit_code == 0, done.output
    witness = folder.witness / f"{service}.heads"
    verify = ["audit", "verify", str(exported), "--heads", str(witness), "--authority", str(folder.ca_file)]

    told = command(*verify, code=1)
    accepted = command(*verify, "--accept-restore", drill.backup.name.removeprefix("alerthub-"))

    assert told["finding"] is None
    [loss] = told["losses"]
    assert loss["backup_id"] == drill.backup.name.removeprefix("alerthub-")
    assert loss["first_link"] <= loss["last_witnessed_link"]
    assert accepted["ok"]
    assert accepted["chained"] >= loss["restored_at_link"]


# What is refused, and what no backup brings back


def test_c19_a_hub_that_runs_is_not_restored_onto(drill: Drill) -> None:
    assert drill.refused_while_running["field"] == "data"
    assert "already running" in drill.refused_while_running["reason"]


@pytest.fixture(scope="module")
def elsewhere(drill: Drill, tmp_path_factory: pytest.TempPathFactory) -> HubFolder:
    """The same backup on a new machine: no topics, no keys."""
    folder = HubFolder(tmp_path_factory.mktemp("elsewhere") / "hub")
    restore = ["restore", str(drill.backup), "--key", str(drill.keeper_key), "--data", str(folder.root)]
    restore += ["--authority", str(drill.hub.folder.ca_file)]
    assert command(*restore, code=2)["field"] == "--topics-lost"
    assert command(*restore, "--topics-lost", code=2)["field"] == "--without-entry-key"
    restored = command(*restore, "--topics-lost", "--without-entry-key")
    assert restored["ended_entries"] >= 4
    return folder


def test_c19_no_backup_opens_a_seal_of_two_hours_ago(drill: Drill, elsewhere: HubFolder) -> None:
    now_ms = time.time_ns() // 1_000_000
    for folder in (drill.hub.folder, elsewhere):
        provider = FileKeyProvider(folder.keys)
        opener = Opener(partial(provider.private_key, now_ms=now_ms))
        with pytest.raises(CannotOpenError):
            opener.open(drill.old_seal.sealed, drill.old_seal.key, b"observation")


def test_c19_no_byte_of_any_key_comes_with_a_backup(drill: Drill, elsewhere: HubFolder) -> None:
    files = [path.read_bytes() for path in elsewhere.root.rglob("*") if path.is_file()]
    assert files
    for key in (drill.old_key, *drill.live_keys):
        for spelled in (key, key.hex().encode()):
            assert [spelled for content in files if spelled in content] == []


def test_c19_a_database_with_newer_rows_is_not_given_up_unasked(drill: Drill, elsewhere: HubFolder) -> None:
    node = PostgresNode(elsewhere, port=free_ports(1)[0])
    node.start(lambda _: None)
    try:
        asyncio.run(_one_more_row(elsewhere, node))
    finally:
        node.stop()
    restore = ["restore", str(drill.backup), "--key", str(drill.keeper_key), "--data", str(elsewhere.root)]
    flags = ["--topics-lost", "--without-entry-key"]

    assert command(*restore, *flags, code=2)["field"] == "--replace"
    assert command(*restore, *flags, "--replace")["ok"]


async def _one_more_row(folder: HubFolder, node: PostgresNode) -> None:
    settings = node.settings("registry")
    connection = await asyncpg.connect(
        host=settings.host,
        port=settings.port,
        user="registry",
        password=settings.password(),
        database=settings.database,
    )
    try:
        await connection.execute(
            "INSERT INTO audit_entry (time_ms, service, actor, action, subject)"
            " VALUES (0, '', 'person:a', 'Something', 'device:b')"
        )
    finally:
        await connection.close()
