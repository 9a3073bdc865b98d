"""Who may have a stream, and until when, on real Kafka, PostgreSQL and TLS (S2)."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from dispatch_support import (
    OPERATOR,
    Hub,
    eventually,
    hub_fixture,  # noqa: F401 - pytest finds it by its name
    now_ms,
    settings_changed_fixture,  # noqa: F401 - pytest finds it by its name
    start_dispatch_fixture,  # noqa: F401 - pytest finds it by its name
    unit,
)
from push_support import (
    PushHub,
    TestTerminal,
    car_fixture,  # noqa: F401 - pytest finds it by its name
    connected,
    known_units,
    push_fixture,  # noqa: F401 - pytest finds it by its name
    running_push,
)

from alerthub.api.v1 import patrol_pb2, registry_pb2

DONE = patrol_pb2.CommandAnswer.RESULT_DONE


async def _revoke(hub: Hub, subject: str, version: int) -> None:
    revocation = registry_pb2.Revocation(version=version, subject=subject, revoked_at_ms=now_ms())
    await hub.put("revocations", subject, revocation.SerializeToString())


async def _refused(terminal: TestTerminal, token: str) -> grpc.aio.AioRpcError:
    terminal.open()
    await terminal.send(sign_on=patrol_pb2.SignOn(officer_token=token))
    return await terminal.ended()


async def test_a_new_stream_of_a_terminal_ends_the_old_one(
    push: PushHub, car: str, unique: Callable[[str], str]
) -> None:
    terminal_id = unique("t")
    old = await connected(push, terminal_id, car)

    await connected(push, terminal_id, car)

    error = await old.ended()
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "newer stream" in (error.details() or "")


@pytest.mark.parametrize("kind", ["account", "terminal"])
async def test_s2_a_revocation_closes_the_stream_within_two_seconds(
    hub: Hub, push: PushHub, unique: Callable[[str], str], kind: str
) -> None:
    # given a connected terminal
    car, officer, terminal_id = unique("car"), unique("officer"), unique("t")
    await known_units(hub, push, unit(car, officers=(officer,)))
    terminal = push.terminal(terminal_id, car)
    await terminal.connect(push.token(officer))
    await terminal.caught_up()

    # when its officer's account or the terminal is revoked
    subject = f"account:{officer}" if kind == "account" else f"terminal:{terminal_id}"
    began = time.monotonic()
    await _revoke(hub, subject, now_ms())

    # then its stream ends, and no new one begins
    assert (await terminal.ended()).code() is grpc.StatusCode.UNAUTHENTICATED
    assert time.monotonic() - began < 2
    again = push.terminal(terminal_id, car)
    again.open()
    if kind == "account":
        token = push.token(officer, at_ms=now_ms() - 60_000)
        await again.send(sign_on=patrol_pb2.SignOn(officer_token=token))
    assert (await again.ended()).code() is grpc.StatusCode.UNAUTHENTICATED


async def test_an_officer_whose_shift_ends_is_signed_off(
    hub: Hub, push: PushHub, unique: Callable[[str], str]
) -> None:
    car = unique("car")
    await known_units(hub, push, unit(car))
    terminal = await connected(push, unique("t"), car)

    await hub.put("units", car, unit(car, version=2, on_shift=False).SerializeToString())

    message = await terminal.until(lambda each: each.WhichOneof("message") == "signed_off")
    assert message.signed_off.reason == "the shift has ended"


async def test_who_may_not_sign_on(push: PushHub, car: str, unique: Callable[[str], str]) -> None:
    # given a terminal of the unit
    terminal = push.terminal(unique("t"), car)
    expected = {
        # when the officer is on no shift of this unit
        push.token("somebody"): grpc.StatusCode.PERMISSION_DENIED,
        # or is no officer
        push.token("wang", OPERATOR): grpc.StatusCode.PERMISSION_DENIED,
        # or the token is for another service, or has run out, or is none
        push.token("wang", audience="dispatch"): grpc.StatusCode.UNAUTHENTICATED,
        push.token("wang", at_ms=now_ms() - 400_000): grpc.StatusCode.UNAUTHENTICATED,
        "nothing": grpc.StatusCode.UNAUTHENTICATED,
    }

    # then none of them is let in
    assert {token: (await _refused(terminal, token)).code() for token in expected} == expected


async def test_a_stream_that_does_not_begin_with_signing_on_is_refused(
    push: PushHub, car: str, unique: Callable[[str], str]
) -> None:
    terminal = push.terminal(unique("t"), car)
    terminal.open()
    await terminal.send(receipt=patrol_pb2.Receipt(alert_id="a"))
    error = await terminal.ended()
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "sign_on" in (error.details() or "")


async def test_a_stream_ends_with_its_token_and_goes_on_with_a_fresh_one(
    push: PushHub, car: str, unique: Callable[[str], str]
) -> None:
    # given two terminals whose officers' tokens end in three seconds
    ending = push.token("wang", at_ms=now_ms() - 297_000)
    renewing, letting = push.terminal(unique("t"), car), push.terminal(unique("t"), car)
    await renewing.connect(ending)
    await letting.connect(ending)

    # when one of them renews
    renewal = await renewing.send(renew_token=patrol_pb2.RenewToken(officer_token=push.token("wang")))
    assert (await renewing.answer(renewal)).result == DONE

    # then only the other one ends
    assert (await letting.ended()).code() is grpc.StatusCode.UNAUTHENTICATED
    await renewing.nothing_but_heartbeats(3)


async def test_another_officers_token_does_not_renew(
    hub: Hub, push: PushHub, unique: Callable[[str], str]
) -> None:
    car = unique("car")
    await known_units(hub, push, unit(car, officers=("wang", "sun")))
    terminal = await connected(push, unique("t"), car)
    await terminal.send(renew_token=patrol_pb2.RenewToken(officer_token=push.token("sun")))
    assert (await terminal.ended()).code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_terminal_has_one_stream_even_among_several_instances(
    *,
    hub: Hub,
    push: PushHub,
    car: str,
    unique: Callable[[str], str],
    tmp_path: Path,
    service_environment: Callable[..., dict[str, str]],
    token_signing_key_file: Path,
    authority_key_file: Path,
    free_port: Callable[[], int],
) -> None:
    # given a terminal on one instance of push
    terminal_id = unique("t")
    old = await connected(push, terminal_id, car)
    assert hub.service.grpc is not None
    async with running_push(
        folder=tmp_path,
        environment=service_environment,
        signing_key_file=token_signing_key_file,
        authority_key_file=authority_key_file,
        port=free_port(),
        dispatch=f"127.0.0.1:{hub.service.grpc.grpc_port}",
        evidence_wait_ms=0,
    ) as other:

        async def known() -> bool:
            return other.service.units.get(car, now_ms()) is not None

        await eventually(known)

        # when it connects to another one
        new = await connected(other, terminal_id, car)

        # then its older stream ends, and the newer one stays
        assert "newer stream" in ((await old.ended()).details() or "")
        await new.nothing_but_heartbeats(2)
