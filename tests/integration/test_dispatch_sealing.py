"""Evidence is sealed again under the alert's own key, by the real watchlist (C13, C17)."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dispatch_support
import grpc
import push_support
import pytest
import watchlist_support
from dispatch_support import (
    OPERATOR,
    command,
    now_ms,
    start_dispatch_fixture,  # noqa: F401 - pytest finds it by its name
    unit,
)

from alerthub.api.v1 import alert_pb2, delivery_pb2, patrol_pb2, watchlist_pb2
from alerthub.evidence import EvidenceStore
from alerthub.identity import TokenSigner
from alerthub.postgres import sql, transaction
from alerthub.sealing import SEALING_ADDS_BYTES
from services.watchlist.service import build as build_watchlist
from services.watchlist.settings import WatchlistSettings

PLATE = "冀RA8HK5"
PICTURE = b"\xff\xd8\xff" + b"picture" * 500


@dataclass
class World:
    """Watchlist, dispatch and push."""

    watchlist: watchlist_support.Hub
    dispatch: dispatch_support.Hub
    push: push_support.PushHub
    evidence: EvidenceStore

    async def raised(
        self, entry_id: str, *, jurisdiction: str, names_person: bool = False, picture: bytes = PICTURE
    ) -> alert_pb2.AlertRaised:
        """A hit as gateway and correlator make it, its picture in the store."""
        gateway = await self.watchlist.gateway()
        published = await self.watchlist.published(entry_id)
        sealed = gateway.seal_request(
            PLATE,
            alert_id="unused",
            entry_id=entry_id,
            picture=picture,
            picture_id=self.evidence.reserve(len(picture) + SEALING_ADDS_BYTES, now_ms()),
        )
        if picture:
            await self.evidence.put_streaming(sealed.observation.picture_id, sealed.sealed_picture)
        raised = dispatch_support.watchlist_hit(
            entry_id,
            entry_version=published.version,
            names_person=names_person,
            jurisdiction=jurisdiction,
            token=published.tokens[0].token,
        )
        raised.observation.MergeFrom(sealed.observation)
        del raised.observation.identifiers[0]
        raised.observation.received_time_ms = now_ms()
        raised.data_keys.extend(sealed.data_keys)
        raised.watchlist.epoch = sealed.epoch
        return raised


@asynccontextmanager
async def _watchlist(
    settings: WatchlistSettings, signer: TokenSigner, tls_settings: Any, kafka_settings: Any
) -> AsyncIterator[watchlist_support.Hub]:
    service = build_watchlist(settings)
    hub = watchlist_support.Hub(service, settings, signer, tls_settings, kafka_settings)
    try:
        await service.start()
        yield hub
    finally:
        for channel in hub.channels:
            await channel.close()
        await service.stop()


@pytest.fixture
async def world(
    *,
    start_dispatch: dispatch_support.Start,
    tmp_path: Path,
    service_environment: Callable[..., dict[str, str]],
    kafka_settings: Any,
    tls_settings: Any,
    token_signing_key_file: Path,
    authority_key_file: Path,
    free_port: Callable[[], int],
) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        watchlist = await stack.enter_async_context(
            _watchlist(
                WatchlistSettings.model_validate(
                    dispatch_support.values_of(service_environment("watchlist"))
                    | {
                        "grpc_port": free_port(),
                        "grpc_person_port": free_port(),
                        "keys_folder": tmp_path / "keys",
                    }
                ),
                TokenSigner.from_file(token_signing_key_file),
                tls_settings,
                kafka_settings,
            )
        )
        assert watchlist.service.grpc is not None
        address = f"127.0.0.1:{watchlist.service.grpc.grpc_port}"
        dispatch = await stack.enter_async_context(start_dispatch(watchlist=address))
        assert dispatch.service.grpc is not None
        push = await stack.enter_async_context(
            push_support.running_push(
                folder=tmp_path,
                environment=service_environment,
                signing_key_file=token_signing_key_file,
                authority_key_file=authority_key_file,
                port=free_port(),
                dispatch=f"127.0.0.1:{dispatch.service.grpc.grpc_port}",
                watchlist=address,
            )
        )
        yield World(watchlist, dispatch, push, EvidenceStore((tmp_path / "evidence").as_uri()))


async def test_the_office_opens_what_dispatch_had_sealed_for_the_alert(
    world: World, unique: Callable[[str], str]
) -> None:
    # given a person alert whose device sent a picture
    entry_id = await world.watchlist.listed(PLATE)
    raised = await world.raised(entry_id, jurisdiction=unique("nowhere"), names_person=True)
    await world.dispatch.raise_alert(raised)

    # when its evidence is sealed
    alert = await world.dispatch.alert(
        raised.raised_id.hex(), lambda each: bool(each.sightings) and each.sightings[0].has_picture
    )
    operator = world.dispatch.as_person("li", OPERATOR)
    sealed = await operator.GetAlert(alert_pb2.GetAlertRequest(alert_id=alert.alert_id))

    # then watchlist opens it for an operator, who can confirm it
    opened = await world.watchlist.as_person("li", watchlist_support.OPERATOR).OpenAlert(
        watchlist_pb2.OpenAlertRequest(
            alert_id=alert.alert_id,
            entry_id=entry_id,
            sealed_details=sealed.sealed_details,
            sealed_picture=sealed.sealed_picture,
            reason="comparing with the picture",
        )
    )
    assert (opened.details.identifier, opened.picture) == (PLATE, PICTURE)
    confirmed = await operator.ConfirmAlert(
        alert_pb2.ConfirmAlertRequest(command_id=command(), alert_id=alert.alert_id)
    )
    assert confirmed.alert.confirmed_by == "person:li"


async def test_c17_the_officer_gets_the_details_and_the_look_is_on_the_record(
    world: World, unique: Callable[[str], str]
) -> None:
    # given a terminal of the unit that will be asked
    car, terminal = await _patrol(world, unique)
    entry_id = await world.watchlist.listed(PLATE)

    # when a vehicle alert goes out
    await world.dispatch.raise_alert(await world.raised(entry_id, jurisdiction=car))
    shown = await terminal.alert(lambda each: each.HasField("details"))

    # then it comes with what was opened for this officer, and with the picture
    assert shown.details.identifier == PLATE
    assert shown.details.authority_contact == "0311-5550100"
    assert shown.picture == PICTURE
    looks = await world.watchlist.sql("SELECT actor FROM audit_entry WHERE action = 'AlertOpenedForOfficer'")
    assert looks == [("person:wang",)]
    # and what all terminals share names no plate
    assert PLATE.encode() not in shown.alert.SerializeToString()


async def test_c17_a_card_has_its_details_while_they_are_being_written_down(
    world: World, unique: Callable[[str], str]
) -> None:
    # given a database in which writing down what was sealed has to wait
    car, terminal = await _patrol(world, unique)
    entry_id = await world.watchlist.listed(PLATE)
    await world.dispatch.sql(
        "CREATE FUNCTION wait_for_test() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_advisory_xact_lock(17); RETURN NEW; END $$"
    )
    await world.dispatch.sql(
        "CREATE TRIGGER wait_for_test BEFORE UPDATE ON sealing FOR EACH ROW EXECUTE FUNCTION wait_for_test()"
    )
    async with transaction(world.dispatch.service.engine) as holding:
        await holding.execute(sql("SELECT pg_advisory_xact_lock(17)"))

        # when a vehicle alert goes out
        await world.dispatch.raise_alert(await world.raised(entry_id, jurisdiction=car))
        shown = await terminal.alert(lambda each: bool(each.assignment_id))

        # then its card has what was sealed
        assert (shown.details.identifier, shown.picture) == (PLATE, PICTURE)
        assert await world.dispatch.sql("SELECT pending FROM sealing") == [(True,)]

    # and it is written down afterwards
    await world.dispatch.alert(
        shown.alert.alert_id, lambda each: bool(each.sightings) and each.sightings[0].has_picture
    )


async def test_evidence_goes_to_the_unit_that_has_the_alert_and_to_no_other(
    world: World, unique: Callable[[str], str]
) -> None:
    # given a vehicle alert at the unit that was asked
    car, terminal = await _patrol(world, unique)
    entry_id = await world.watchlist.listed(PLATE)
    await world.dispatch.raise_alert(await world.raised(entry_id, jurisdiction=car))
    alert_id = (await terminal.alert(lambda each: each.HasField("details"))).alert.alert_id
    push = world.dispatch.as_service("push")

    async def evidence_for(unit_id: str) -> delivery_pb2.GetSealedEvidenceResponse:
        return await push.GetSealedEvidence(
            delivery_pb2.GetSealedEvidenceRequest(alert_id=alert_id, unit_id=unit_id)
        )

    # when its evidence is asked for that unit, it is given
    assert (await evidence_for(car)).sealed_details

    # and for another unit it is not, nor does the answer say that there is such an alert
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await evidence_for(unique("another"))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_picture_that_is_gone_is_told_on_the_card(world: World, unique: Callable[[str], str]) -> None:
    entry_id = await world.watchlist.listed(PLATE)
    raised = await world.raised(entry_id, jurisdiction=unique("nowhere"), names_person=True)
    raised.observation.picture_id = uuid.uuid4().hex
    await world.dispatch.raise_alert(raised)

    alert = await world.dispatch.alert(
        raised.raised_id.hex(), lambda each: "no longer kept" in each.sightings[0].picture_missing_reason
    )

    assert not alert.sightings[0].has_picture
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await world.dispatch.as_person("li", OPERATOR).ConfirmAlert(
            alert_pb2.ConfirmAlertRequest(command_id=command(), alert_id=alert.alert_id)
        )
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_what_watchlist_refuses_to_seal_stays_closed_and_the_alert_goes_on(
    world: World, unique: Callable[[str], str]
) -> None:
    # given a hit whose token is not the entry's
    entry_id = await world.watchlist.listed(PLATE)
    other = await world.watchlist.listed("冀A12345")
    raised = await world.raised(entry_id, jurisdiction=unique("nowhere"))
    raised.watchlist.entry_id, raised.fold_key = other, f"entry:{other}"
    await world.dispatch.raise_alert(raised)

    alert = await world.dispatch.alert(
        raised.raised_id.hex(), lambda each: "could not open" in each.sightings[0].picture_missing_reason
    )

    sealed = await world.dispatch.as_person("li", OPERATOR).GetAlert(
        alert_pb2.GetAlertRequest(alert_id=alert.alert_id)
    )
    assert (sealed.sealed_details, sealed.sealed_picture) == (b"", b"")


async def test_evidence_waits_for_a_watchlist_that_is_away_and_the_alert_does_not(
    world: World, unique: Callable[[str], str]
) -> None:
    # given a terminal, and watchlist gone
    car, terminal = await _patrol(world, unique)
    entry_id = await world.watchlist.listed(PLATE)
    raised = await world.raised(entry_id, jurisdiction=car)
    assert world.watchlist.service.grpc is not None
    await world.watchlist.service.grpc.stop(0)

    # when a vehicle alert goes out
    await world.dispatch.raise_alert(raised)

    # then it comes without details, and says so
    shown = await terminal.alert(lambda each: bool(each.assignment_id), within=20)
    assert not shown.HasField("details")
    assert shown.details_missing_reason
    pending = await world.dispatch.sql("SELECT pending FROM sealing")
    assert [row[0] for row in pending] == [True]


async def test_refusal_7_a_real_withdrawal_reaches_a_connected_terminal_in_seconds(
    world: World, unique: Callable[[str], str]
) -> None:
    # given an accepted alert of a listed entry
    car, terminal = await _patrol(world, unique)
    entry_id = await world.watchlist.listed(PLATE)
    await world.dispatch.raise_alert(await world.raised(entry_id, jurisdiction=car))
    shown = await terminal.alert(lambda each: bool(each.assignment_id))
    await terminal.send(
        accept=patrol_pb2.AcceptAssignment(alert_id=shown.alert.alert_id, assignment_id=shown.assignment_id)
    )
    await terminal.alert(lambda each: each.alert.status == alert_pb2.ALERT_STATUS_ACCEPTED)

    # when the entry is withdrawn
    began = now_ms()
    await world.watchlist.as_person("lin", watchlist_support.EDITOR).WithdrawEntry(
        watchlist_pb2.WithdrawEntryRequest(command_id=command(), entry_id=entry_id, reason="found")
    )

    # then the terminal is told
    cancelled = await terminal.alert(lambda each: each.alert.status == alert_pb2.ALERT_STATUS_CANCELLED)
    assert now_ms() - began < 3_000
    assert "withdrawn" in cancelled.alert.cancelled_reason
    assert not cancelled.HasField("details")


async def _patrol(world: World, unique: Callable[[str], str]) -> tuple[str, push_support.TestTerminal]:
    """A unit on shift and its terminal, with an officer signed on."""
    car = unique("car")
    await push_support.known_units(world.dispatch, world.push, unit(car, jurisdiction=car))
    return car, await push_support.connected(world.push, unique("t"), car)
