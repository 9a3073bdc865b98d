"""Looks at identifying data: for alerts that fired, for named persons, on the record, within a cap (refusals
3, 8, C13)."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import grpc
import pytest
from prometheus_client import generate_latest
from watchlist_support import (
    DAY_MS,
    EDITOR,
    OFFICER,
    OPERATOR,
    SUPERVISOR,
    Hub,
    command,
    hub_fixture,  # noqa: F401 - pytest finds it by its name
    look,
    module_hub_fixture,  # noqa: F401
    new_entry,
    now_ms,
    refused,
    sealed,
)

from alerthub.api.v1 import watchlist_pb2
from alerthub.domain.identifiers import IdentifierKind
from alerthub.grpc_errors import field_violations
from alerthub.sealing import open_sealed

PLATE, OTHER = "冀RA8HK5", "冀RB8HK5"
pytestmark = pytest.mark.asyncio(loop_scope="module")
PICTURE = b"\xff\xd8\xff" + b"picture" * 50


async def test_watchlist_an_operator_opens_the_alert_that_fired(hub: Hub) -> None:
    entry_id = await hub.listed(PLATE)
    answer = await sealed(hub, entry_id=entry_id, picture=PICTURE)
    opened = await hub.as_person("li", OPERATOR).OpenAlert(look("a1", answer))
    assert opened.details.identifier == PLATE
    assert opened.details.make == "Geely"
    assert opened.details.instruction.english == "Stop the vehicle"
    assert opened.details.authority_contact == "0311-5550100"
    assert opened.picture == PICTURE


async def test_watchlist_a_confused_read_opens_for_the_entry_whose_mask_hit(hub: Hub) -> None:
    entry_id = await hub.listed(PLATE, masks=("exact", "confusable"))
    answer = await sealed(hub, plate="冀RABHK5", entry_id=entry_id, mask="confusable")
    opened = await hub.as_person("li", OPERATOR).OpenAlert(look("a1", answer))
    assert opened.details.identifier == "冀RABHK5"


async def test_watchlist_every_look_is_recorded_before_it_is_given(hub: Hub) -> None:
    entry_id = await hub.listed(PLATE)
    answer = await sealed(hub, entry_id=entry_id)
    await hub.as_person("li", OPERATOR).OpenAlert(look("a1", answer))
    assert await hub.audit("AlertOpened") == [
        ("AlertOpened", "person:li", "alert:a1", "confirm the read", f"entry:{entry_id}")
    ]


async def test_watchlist_a_look_that_cannot_be_recorded_is_not_given(hub: Hub) -> None:
    entry_id = await hub.listed(PLATE)
    answer = await sealed(hub, entry_id=entry_id)
    await hub.sql(
        "ALTER TABLE audit_entry ADD CONSTRAINT audit_is_full CHECK (action <> 'AlertOpened') NOT VALID"
    )
    try:
        error = await refused(hub.as_person("li", OPERATOR).OpenAlert(look("a1", answer)))
    finally:
        await hub.sql("ALTER TABLE audit_entry DROP CONSTRAINT audit_is_full")
    assert error.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE)
    assert PLATE not in (error.details() or "")
    assert await hub.sql("SELECT count(*) FROM open_record") == [(0,)]


async def test_watchlist_text_of_another_plate_is_not_sealed_for_an_entry(hub: Hub) -> None:
    entry_id = await hub.listed(PLATE)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await sealed(hub, plate=OTHER, entry_id=entry_id)
    assert [violation.field for violation in field_violations(error.value)] == ["entry_id"]


@pytest.mark.parametrize("rule_id", ["", "no-parking"])
async def test_watchlist_text_under_anothers_token_is_not_sealed(hub: Hub, rule_id: str) -> None:
    """Whoever could write to Kafka would put a listed plate's tokens beside a text of their own."""
    entry_id = "" if rule_id else await hub.listed(PLATE)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await sealed(hub, plate=OTHER, tokens_of=PLATE, entry_id=entry_id, rule_id=rule_id)
    assert [violation.field for violation in field_violations(error.value)] == ["observation.identifiers"]


async def test_watchlist_an_alert_keeps_the_subject_that_it_began_with(hub: Hub) -> None:
    first, second = await hub.listed(PLATE), await hub.listed(PLATE)
    await sealed(hub, entry_id=first)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await sealed(hub, entry_id=second)
    assert [violation.field for violation in field_violations(error.value)] == ["alert_id"]


async def test_watchlist_text_moved_to_another_observation_is_not_opened(hub: Hub) -> None:
    entry_id = await hub.listed(PLATE)
    request = (await hub.gateway()).seal_request(PLATE, alert_id="a1", entry_id=entry_id)
    request.observation.observation_id = b"x" * 16
    error = await refused(hub.as_service("dispatch").SealForAlert(request))
    assert [v.field for v in field_violations(error)] == ["observation.identifiers.sealed_details"]


async def test_watchlist_a_mask_that_the_entry_did_not_ask_for_does_not_open(hub: Hub) -> None:
    entry_id = await hub.listed(PLATE, masks=("exact",))
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await sealed(hub, plate="冀RABHK5", entry_id=entry_id, mask="confusable")
    assert [violation.field for violation in field_violations(error.value)] == ["entry_id"]


@pytest.mark.parametrize("ending", ["proposed", "withdrawn"])
async def test_watchlist_nothing_is_sealed_for_an_entry_that_is_not_in_force(hub: Hub, ending: str) -> None:
    if ending == "withdrawn":
        entry_id = await hub.listed(PLATE)
        await hub.as_person("wang", SUPERVISOR).WithdrawEntry(
            watchlist_pb2.WithdrawEntryRequest(command_id=command(), entry_id=entry_id, reason="found")
        )
    else:
        entry_id = await hub.entered(PLATE)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await sealed(hub, entry_id=entry_id)
    assert "in force" in (error.value.details() or "")


async def test_watchlist_without_entry_and_rule_nothing_is_sealed(hub: Hub) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await sealed(hub)
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_watchlist_an_alert_of_a_zone_rule_is_sealed_for_its_subject(hub: Hub) -> None:
    answer = await sealed(hub, rule_id="no-parking", picture=PICTURE)
    opened = await hub.as_person("li", OPERATOR).OpenAlert(look("a1", answer))
    assert (opened.details.identifier, opened.details.case_number) == (PLATE, "")


async def test_watchlist_a_vehicle_without_a_plate_has_a_picture_only(hub: Hub) -> None:
    request = (await hub.gateway()).seal_request(PLATE, alert_id="a1", rule_id="no-parking", picture=PICTURE)
    request.observation.ClearField("identifiers")
    answer = await hub.as_service("dispatch").SealForAlert(request)
    opened = await hub.as_person("li", OPERATOR).OpenAlert(look("a1", answer))
    assert (opened.details.identifier, opened.picture) == ("", PICTURE)


async def test_watchlist_a_picture_of_another_observation_is_left_out(hub: Hub) -> None:
    entry_id = await hub.listed(PLATE)
    gateway = await hub.gateway()
    request = gateway.seal_request(PLATE, alert_id="a1", entry_id=entry_id, picture=PICTURE)
    other = gateway.seal_request(PLATE, alert_id="a1", entry_id=entry_id, picture=PICTURE)
    request.sealed_picture = other.sealed_picture
    answer = await hub.as_service("dispatch").SealForAlert(request)
    assert answer.sealed_details
    assert not answer.sealed_picture


async def test_watchlist_what_was_sealed_for_one_alert_does_not_open_as_another(hub: Hub) -> None:
    entry_id = await hub.listed(PLATE)
    first = await sealed(hub, "a1", entry_id=entry_id)
    await sealed(hub, "a2", entry_id=entry_id)
    error = await refused(hub.as_person("li", OPERATOR).OpenAlert(look("a2", first)))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_watchlist_an_alert_that_never_fired_does_not_open(hub: Hub) -> None:
    answer = watchlist_pb2.SealForAlertResponse(sealed_details=b"x" * 40)
    error = await refused(hub.as_person("li", OPERATOR).OpenAlert(look("a9", answer)))
    assert error.code() is grpc.StatusCode.NOT_FOUND


async def test_watchlist_a_sealed_observation_is_no_answer_that_opens_more(hub: Hub) -> None:
    """C13: neither answer holds a data key or the alert's key."""
    entry_id = await hub.listed(PLATE)
    answer = await sealed(hub, entry_id=entry_id, picture=PICTURE)
    opened = await hub.as_person("li", OPERATOR).OpenAlert(look("a1", answer))
    stored = await hub.sql("SELECT wrapped_key FROM alert_key")
    assert isinstance(stored[0][0], bytes)
    key = open_sealed(hub.service._keys.alert_key(), stored[0][0], b"alert key|a1")
    for message in (answer, opened):
        assert key not in message.SerializeToString()


def for_officer(
    answer: watchlist_pb2.SealForAlertResponse, token: str
) -> watchlist_pb2.OpenAlertForOfficerRequest:
    return watchlist_pb2.OpenAlertForOfficerRequest(
        alert_id="a1", sealed_details=answer.sealed_details, officer_token=token, terminal_id="t1"
    )


async def test_watchlist_push_opens_for_the_officer_who_is_signed_on_and_by_name(hub: Hub) -> None:
    entry_id = await hub.listed(PLATE)
    answer = await sealed(hub, entry_id=entry_id)
    token = hub.token("zhao", OFFICER, audience="push")
    opened = await hub.as_service("push").OpenAlertForOfficer(for_officer(answer, token))
    assert opened.details.identifier == PLATE
    rows = await hub.audit("AlertOpenedForOfficer")
    assert [(row[1], row[3]) for row in rows] == [("person:zhao", "delivery by service:push to terminal:t1")]


async def test_watchlist_push_opens_nothing_without_an_officers_own_token(hub: Hub) -> None:
    entry_id = await hub.listed(PLATE)
    answer = await sealed(hub, entry_id=entry_id)
    push = hub.as_service("push")
    for token in (
        "x",
        hub.token("zhao", OFFICER, audience="watchlist"),
        hub.token("li", OPERATOR, audience="push"),
    ):
        error = await refused(push.OpenAlertForOfficer(for_officer(answer, token)))
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize("service", ["gateway", "correlator", "push", "console", "registry"])
async def test_watchlist_only_dispatch_has_observations_sealed(hub: Hub, service: str) -> None:
    request = (await hub.gateway()).seal_request(PLATE, alert_id="a1", rule_id="r1")
    error = await refused(hub.as_service(service).SealForAlert(request))
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_watchlist_after_its_time_an_alerts_key_is_destroyed(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry_id = await hub.listed(PLATE)
    answer = await sealed(hub, entry_id=entry_id)
    monkeypatch.setattr(hub.service.jobs, "_now_ms", lambda: now_ms() + 31 * DAY_MS)
    monkeypatch.setattr(hub.service.jobs, "_last_forgetting_ms", 0)
    await hub.service.jobs.forget()
    error = await refused(hub.as_person("li", OPERATOR).OpenAlert(look("a1", answer)))
    assert error.code() is grpc.StatusCode.NOT_FOUND


async def test_watchlist_after_the_retention_nothing_is_sealed_any_more(hub: Hub) -> None:
    entry_id = await hub.listed(PLATE)
    request = (await hub.gateway()).seal_request(PLATE, alert_id="a1", entry_id=entry_id)
    recipient_key_id = request.data_keys[0].recipient_key_id
    hub.service._keys._destroy("recipients", recipient_key_id)
    error = await refused(hub.as_service("dispatch").SealForAlert(request))
    await hub.service.key_handlers.renew_recipient()
    assert [v.field for v in field_violations(error)] == ["observation.identifiers.sealed_details"]


async def test_watchlist_no_identifier_and_no_token_is_in_logs_metrics_or_errors(
    hub: Hub, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """S5: whatever happens, answered or refused, shows neither the plate nor its tokens."""
    caplog.set_level("DEBUG")
    gateway = await hub.gateway()
    told = []
    entry_id = await hub.listed(PLATE, masks=("exact", "confusable"))
    answer = await sealed(hub, entry_id=entry_id)
    await hub.as_person("li", OPERATOR).OpenAlert(look("a1", answer))
    refusals = (
        hub.as_person("lin", EDITOR).AddEntry(
            watchlist_pb2.AddEntryRequest(command_id=command(), entry=new_entry(PLATE, masks=("01",)))
        ),
        hub.as_person("lin", EDITOR).AddEntry(
            watchlist_pb2.AddEntryRequest(command_id=command(), entry=new_entry(PLATE * 12))
        ),
        hub.as_service("dispatch").SealForAlert(
            gateway.seal_request(OTHER, alert_id="a2", entry_id=entry_id)
        ),
        hub.as_person("li", OPERATOR).OpenAlert(look("a9", answer)),
    )
    for call in refusals:
        error = await refused(call)
        told.append(f"{error.details()} {error.trailing_metadata()}")
    streams = capfd.readouterr()
    everything = "".join([*told, caplog.text, streams.out, streams.err, generate_latest().decode()])
    canaries = [PLATE, "RA8HK5", "RB8HK5", quote(PLATE), json.dumps(PLATE)[1:7], PLATE.encode().hex()]
    canaries.append(base64.b64encode(PLATE.encode()).decode()[:8])
    for token in gateway.blinder.tokens(IdentifierKind.PLATE, PLATE):
        canaries += [token.hex(), base64.b64encode(token).decode()[:16]]
    assert [canary for canary in canaries if canary in everything] == []
