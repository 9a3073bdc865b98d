"""What becomes of a device's event: blinded, sealed, acknowledged by the broker, or refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError
from gateway_parts import DAY_MS, PLATE, PRIVATE_KEY, START_MS, Gateway, gateway, read

from alerthub import sealing
from alerthub.api.v1 import common_pb2, registry_pb2
from alerthub.api.v1.observation_pb2 import SealedDetails
from alerthub.domain.admission import AuthenticationClass
from alerthub.domain.device_events import CallKind, DeviceEvent, ObservationKind, Place
from alerthub.domain.errors import NotAllowed, Retry
from alerthub.domain.identifiers import IdentifierKind
from alerthub.tokens import Blinder
from services.gateway.admittance import TooManyRequests
from services.gateway.handlers import Receipt

PASSWORD = AuthenticationClass.PASSWORD_OVER_TLS
JPEG = b"\xff\xd8\xff\xe0" + bytes(300)
PANIC = DeviceEvent(ObservationKind.PRESENCE, START_MS, event_id="p1", call=CallKind.PANIC)


async def accept(one: Gateway, *events: DeviceEvent, used: AuthenticationClass = PASSWORD) -> Receipt:
    receipt: Receipt = await one.intake.accept("camera-1", used, "cloudevents", events)
    return receipt


async def test_a_read_is_acknowledged_with_its_tokens_on_the_topic(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    assert await accept(one, read()) == Receipt(acknowledged=1, late=0, stripped=0)
    (observation,) = one.broker.observations()
    blinder = Blinder("epoch-1", bytes([1]) * 32, ["exact", "confusable", "no-province"])
    assert list(observation.identifiers[0].tokens) == blinder.tokens(IdentifierKind.PLATE, PLATE)
    assert (observation.authorisation_id, observation.district) == ("check-1", "Anci-1")


async def test_refusal_3_no_record_holds_anything_readable(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    await accept(one, read(make="make-canary", colour="colour-canary", plate_colour="blue-canary"))
    everything = b"".join(value for _, _, value in one.broker.records)
    for readable in (PLATE, PLATE[1:], "make-canary", "colour-canary", "blue-canary"):
        assert readable.encode() not in everything


async def test_the_details_open_for_watchlist_beside_their_observation_only(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    await accept(one, read(make="Geely"))
    (batch,) = one.broker.batches()
    (observation,) = batch.observations
    identifier = observation.identifiers[0]
    (key,) = [key for key in batch.data_keys if key.data_key_id == identifier.data_key_id]
    opener = sealing.Opener(lambda _: PRIVATE_KEY)
    wrapped = sealing.WrappedKey(key.data_key_id, key.recipient_key_id, key.wrapped)
    associated = sealing.details_associated(observation.observation_id, identifier.tokens[0])
    opened = SealedDetails.FromString(opener.open(identifier.sealed_details, wrapped, associated))
    assert (opened.identifier, opened.make) == (PLATE, "Geely")


async def test_refusal_4_without_authorisation_identifiers_are_dropped_and_the_observation_goes_on(
    tmp_path: Path,
) -> None:
    one = await gateway(tmp_path)
    one.register(version=2, authorised=False)
    assert await accept(one, read()) == Receipt(acknowledged=1, late=0, stripped=1)
    (observation,) = one.broker.observations()
    assert (list(observation.identifiers), observation.authorisation_id) == ([], "")


async def test_refusal_4_an_authorisation_that_has_ended_allows_nothing(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    one.clock.ms = START_MS + DAY_MS - 500
    await one.keys.synchronise()
    one.watchlist.answer.in_force.epoch_ends_at_ms = START_MS + 2 * DAY_MS
    one.watchlist.answer.recipient.valid_until_ms = START_MS + 2 * DAY_MS
    one.watchlist.answer.recipient.recipient_key_id = "r2"
    await one.keys.synchronise()
    one.clock.ms += 500
    assert (await accept(one, read())).stripped == 1


async def test_c1_nothing_is_acknowledged_before_the_broker_has_it(tmp_path: Path) -> None:
    one = await gateway(tmp_path, kafka_wait_seconds=5)
    one.broker.holds = True
    accepting = asyncio.create_task(accept(one, read()))
    await one.broker.holds_a_record()
    assert not accepting.done()
    one.broker.answer()
    assert (await accepting).acknowledged == 1


async def test_c1_a_repeat_in_flight_shares_the_fate_of_the_first(tmp_path: Path) -> None:
    one = await gateway(tmp_path, kafka_wait_seconds=5)
    one.broker.holds = True
    tasks = [asyncio.create_task(accept(one, read("same"))) for _ in range(3)]
    await one.broker.holds_a_record()
    assert not any(task.done() for task in tasks)
    one.broker.answer()
    assert [receipt.acknowledged for receipt in await asyncio.gather(*tasks)] == [1, 1, 1]
    assert len(one.broker.observations()) == 1


async def test_c1_a_repeat_of_one_that_failed_fails_with_it(tmp_path: Path) -> None:
    one = await gateway(tmp_path, kafka_wait_seconds=5)
    one.broker.holds = True
    tasks = [asyncio.create_task(accept(one, read("same"))) for _ in range(2)]
    await one.broker.holds_a_record()
    one.broker.answer(KafkaConnectionError())
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(outcome, Retry) for outcome in outcomes)
    assert (await accept(one, read("same"))).acknowledged == 1


@pytest.mark.timeout(10)
async def test_c1_the_wait_for_kafka_is_bounded(tmp_path: Path) -> None:
    one = await gateway(tmp_path, kafka_wait_seconds=0.05)
    one.broker.holds = True
    with pytest.raises(Retry, match="in time"):
        await accept(one, read())


async def test_too_many_in_flight_are_refused_and_not_queued(tmp_path: Path) -> None:
    one = await gateway(tmp_path, maximum_in_flight=2, kafka_wait_seconds=0.05)
    one.broker.holds = True
    with pytest.raises(Retry, match="too many"):
        await accept(one, read("1"), read("2"), read("3"))
    assert one.packer.in_flight == 2


async def test_c12_without_keys_nothing_is_taken(tmp_path: Path) -> None:
    one = await gateway(tmp_path, keys=False)
    with pytest.raises(Retry, match="keys"):
        await accept(one, read())
    assert one.broker.records == []


async def test_c12_with_keys_that_were_not_confirmed_nothing_is_taken(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    one.clock.ms += 10_001
    with pytest.raises(Retry, match="not confirmed"):
        await accept(one, read())


async def test_with_a_stale_replica_of_devices_nothing_is_taken(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    one.devices_reason = "the replica of devices has no bookmark"
    with pytest.raises(Retry, match="bookmark"):
        await accept(one, read())


async def test_s3_a_proof_weaker_than_registered_is_refused(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    with pytest.raises(NotAllowed):
        await accept(one, read(), used=AuthenticationClass.URL_TOKEN)
    assert one.broker.records == []


async def test_s3_an_observation_carries_the_weaker_class(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    one.register(version=2, authentication_class=common_pb2.AUTHENTICATION_CLASS_URL_TOKEN)
    await accept(one, read())
    (observation,) = one.broker.observations()
    assert observation.authentication_class == common_pb2.AUTHENTICATION_CLASS_URL_TOKEN


@pytest.mark.parametrize("status", [registry_pb2.LIFE_STATUS_SUSPENDED, registry_pb2.LIFE_STATUS_REMOVED])
async def test_a_device_that_is_not_active_is_refused_at_once(
    tmp_path: Path, status: registry_pb2.LifeStatus.ValueType
) -> None:
    one = await gateway(tmp_path)
    one.register(version=2, status=status, active_from_ms=START_MS + 60_000)
    with pytest.raises(NotAllowed):
        await accept(one, read())


async def test_c5_a_version_ahead_of_its_time_is_not_used_yet(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    one.register(version=2, district="Elsewhere", active_from_ms=START_MS + 2_000)
    await accept(one, read("1"))
    one.clock.ms += 2_000
    await accept(one, read("2"))
    assert [observation.district for observation in one.broker.observations()] == ["Anci-1", "Elsewhere"]


async def test_s3_a_device_over_its_rate_is_told_when_to_come_again(tmp_path: Path) -> None:
    one = await gateway(tmp_path, device_events_per_second=10, device_burst=256)
    for _ in range(256):
        await accept(one, read())
    with pytest.raises(TooManyRequests) as refused:
        await accept(one, read())
    assert refused.value.after_seconds >= 1


async def test_s3_a_device_far_over_its_peak_is_suspended(tmp_path: Path) -> None:
    one = await gateway(tmp_path, device_events_per_second=1_000_000, device_burst=1_000_000)
    for minute in range(12):
        one.clock.ms = START_MS + minute * 60_000
        one.intake.require_allowance("camera-1", [read()] * 100, now_ms=one.clock())
    with pytest.raises(NotAllowed, match="suspended"):
        one.intake.require_allowance("camera-1", [read()] * 20_000, now_ms=one.clock())


async def test_a_picture_is_stored_sealed_before_the_observation_is_sent(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    await accept(one, read(picture=JPEG))
    (batch,) = one.broker.batches()
    (observation,) = batch.observations
    sealed = await one.evidence.get_streaming(observation.picture_id)
    assert sealed is not None
    (key,) = [key for key in batch.data_keys if key.data_key_id == observation.picture_data_key_id]
    wrapped = sealing.WrappedKey(key.data_key_id, key.recipient_key_id, key.wrapped)
    associated = sealing.picture_associated(observation.observation_id, observation.picture_id)
    assert sealing.Opener(lambda _: PRIVATE_KEY).open(sealed, wrapped, associated) == JPEG


async def test_a_read_goes_on_without_a_picture_that_cannot_be_kept(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    one.evidence._bound_bytes = 10
    await accept(one, read(picture=JPEG))
    (observation,) = one.broker.observations()
    assert (observation.picture_id, len(observation.identifiers)) == ("", 1)


def during_the_writing_of_a_picture(
    one: Gateway, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]
) -> None:
    put = one.evidence.put_streaming

    async def slow_put(picture_id: str, sealed: bytes) -> None:
        await put(picture_id, sealed)
        happens()

    monkeypatch.setattr(one.evidence, "put_streaming", slow_put)


async def test_c12_keys_that_age_while_a_picture_is_written_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await gateway(tmp_path)
    during_the_writing_of_a_picture(one, monkeypatch, lambda: setattr(one.clock, "ms", START_MS + 10_001))
    with pytest.raises(Retry, match="not confirmed"):
        await accept(one, read(picture=JPEG))
    assert one.broker.records == []


async def test_a_device_suspended_while_its_picture_is_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await gateway(tmp_path)
    during_the_writing_of_a_picture(one, monkeypatch, lambda: one.register(version=2, status=2))
    with pytest.raises(NotAllowed):
        await accept(one, read(picture=JPEG))
    assert one.broker.records == []


async def test_refusal_4_an_authorisation_that_ends_while_a_picture_is_written_allows_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await gateway(tmp_path)
    during_the_writing_of_a_picture(one, monkeypatch, lambda: one.register(version=2, authorised=False))
    assert (await accept(one, read(picture=JPEG))).stripped == 1
    (observation,) = one.broker.observations()
    assert list(observation.identifiers) == []


async def test_c1_a_repeat_that_overtakes_a_picture_that_is_lost_is_the_same_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await gateway(tmp_path)
    one.broker.holds = True
    repeats: list[asyncio.Task[Receipt]] = []

    async def losing(picture_id: str, sealed: bytes) -> None:
        # when the repeat, without its picture, comes while the picture is being written
        repeats.append(asyncio.create_task(accept(one, read())))
        await one.broker.holds_a_record()
        asyncio.get_running_loop().call_soon(one.broker.answer)
        raise Retry("the picture store does not work")

    monkeypatch.setattr(one.evidence, "put_streaming", losing)
    await accept(one, read(picture=JPEG))
    await asyncio.gather(*repeats)
    # then it is one observation
    assert len(one.broker.observations()) == 1


async def test_a_direct_call_needs_no_keys_and_is_not_packed(tmp_path: Path) -> None:
    one = await gateway(tmp_path, keys=False)
    assert (await accept(one, PANIC)).acknowledged == 1
    (call,) = one.broker.calls()
    assert (call.device_id, call.district, call.received_time_ms) == ("camera-1", "Anci-1", START_MS)
    assert one.broker.batches() == []


async def test_a_direct_call_is_acknowledged_only_with_the_broker(tmp_path: Path) -> None:
    one = await gateway(tmp_path, kafka_wait_seconds=0.05)
    one.broker.holds = True
    with pytest.raises(Retry):
        await accept(one, PANIC)


async def test_a_direct_call_passes_a_device_whose_reads_are_over_the_rate(tmp_path: Path) -> None:
    one = await gateway(tmp_path, device_burst=256)
    one.intake.require_allowance("camera-1", [read()] * 256, now_ms=one.clock())
    assert (await accept(one, PANIC)).acknowledged == 1


async def test_a_moving_device_is_where_it_says(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    await accept(one, read(place=Place(40.0, 117.0)))
    (observation,) = one.broker.observations()
    assert (observation.position.latitude, observation.position.longitude) == (40.0, 117.0)


async def test_an_event_that_came_long_after_it_happened_is_told_and_sent(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    for second in range(10):
        one.clock.ms = START_MS + second * 1_000
        await accept(one, DeviceEvent(ObservationKind.HEARTBEAT, one.clock.ms - 20, event_id=str(second)))
    await one.keys.synchronise()
    one.clock.ms += 1_000
    late = DeviceEvent(ObservationKind.PRESENCE, one.clock.ms - 120_000, event_id="late")
    assert (await accept(one, late)).late == 1
    assert one.broker.observations()[-1].corrected_time_ms == one.clock.ms - 120_000 + 20
