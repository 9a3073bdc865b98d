"""Every adapter keeps one contract: events, or a refusal that names the field; never anything else,
whatever comes."""

from __future__ import annotations

import dataclasses
import json
import random
import time

import pytest
from adapter_cases import BOUNDARY, PLATE, Case, Sent
from adapter_cases import CASES as REQUEST_CASES
from adapter_cases_events import EVENT_CASES
from adapter_mutations import with_one_field_wrong
from hypothesis import given, settings
from hypothesis import strategies as st

from alerthub.domain.device_events import DeviceEvent
from alerthub.domain.errors import Refuse
from alerthub.domain.identifiers import IdentifierKind, normalise
from services.gateway.adapters import ADAPTERS, UnsupportedContent

CASES = [*REQUEST_CASES, *EVENT_CASES]
HOSTILE_XML = b"""<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;"><!ENTITY x SYSTEM "file:///etc/passwd">]>
<EventNotificationAlert><eventType>ANPR</eventType><ANPR><licensePlate>&lol2;&x;</licensePlate></ANPR>
</EventNotificationAlert>"""

every_case = pytest.mark.parametrize("case", CASES, ids=str)
every_plate = pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.identifier and case.identifier[0] is IdentifierKind.PLATE],
    ids=str,
)
every_adapter = pytest.mark.parametrize("adapter", ADAPTERS)
first_of_each = pytest.mark.parametrize(
    "case", list({case.adapter: case for case in reversed(CASES)}.values()), ids=str
)


def events_or_refusal(adapter: str, sent: Sent) -> list[DeviceEvent] | Refuse:
    """What the contract allows; anything else that is raised fails the test."""
    outcome = _outcome(adapter, sent)
    if isinstance(outcome, Refuse):
        assert outcome.field
        assert outcome.expected
        return outcome
    for event in outcome:
        assert 0 <= event.device_time_ms < 2**53
        assert 0 <= event.read_confidence <= 1
        assert 0 <= event.lane <= 64
        assert len(event.identifiers) <= 8
        assert event.event_id or event.payload_digest
        assert len(event.event_id) <= 128
        assert len(event.track_id) <= 64
        # Everything must survive the wire: no lone surrogates.
        for text in (event.event_id, event.track_id, event.make, event.colour, event.plate_colour):
            text.encode()
    return outcome


def _outcome(adapter: str, sent: Sent) -> list[DeviceEvent] | Refuse:
    try:
        return sent.parse(adapter)
    except Refuse as refusal:
        return refusal


def test_every_adapter_is_under_this_contract() -> None:
    assert {case.adapter for case in CASES} == set(ADAPTERS)


@every_case
def test_a_good_payload_gives_what_it_says(case: Case) -> None:
    (event,) = case.sent.parse(case.adapter)
    read = [(one.kind, normalise(one.kind, one.text)) for one in event.identifiers]
    assert (event.kind, event.call, read) == (
        case.kind,
        case.call,
        [case.identifier] if case.identifier else [],
    )
    assert (event.direction, event.lane, event.track_id) == (case.direction, case.lane, case.track)
    assert (event.make, event.colour, event.plate_colour) == (case.make, case.colour, case.plate_colour)
    assert event.read_confidence == pytest.approx(case.confidence)
    assert bool(event.picture) == case.pictured


@every_case
def test_the_devices_own_id_is_the_events_id(case: Case) -> None:
    (event,) = case.sent.parse(case.adapter)
    assert event.event_id == case.event_id
    assert event.event_id or event.payload_digest


@every_case
def test_a_repeat_is_the_same_event(case: Case) -> None:
    (first,), (second,) = case.sent.parse(case.adapter), case.sent.parse(case.adapter)
    assert (first.event_id, first.payload_digest, first.device_time_ms) == (
        second.event_id,
        second.payload_digest,
        second.device_time_ms,
    )


@every_case
def test_a_wrong_clock_is_taken_as_it_is(case: Case) -> None:
    # Years ahead: whose clock that is, is for the learnt offset to say.
    assert case.sent.parse(case.adapter)[0].device_time_ms // 1000 == case.time_s


@every_case
def test_a_wrong_encoding_is_refused(case: Case) -> None:
    spoilt = case.sent.replaced(case.chinese, b"\xff\xff\xff")
    assert isinstance(events_or_refusal(case.adapter, spoilt), Refuse)


@every_case
def test_every_truncation_gives_events_or_a_refusal(case: Case) -> None:
    body = case.sent.body
    for length in range(0, len(body), max(7, len(body) // 150)):
        events_or_refusal(case.adapter, dataclasses.replace(case.sent, body=body[:length]))


@every_case
def test_a_payload_that_ends_early_is_refused(case: Case) -> None:
    assert isinstance(events_or_refusal(case.adapter, case.sent.until(case.chinese)), Refuse)


@first_of_each
def test_ten_megabytes_are_read_without_harm(case: Case) -> None:
    # The HTTP edge refuses more than 4 MiB before an adapter sees it.
    began = time.process_time()
    for body in (case.sent.body + b"<a>" * 3_500_000, b"[" * 10_000_000, b"a=1\r\n" * 2_000_000):
        events_or_refusal(case.adapter, dataclasses.replace(case.sent, body=body))
    assert time.process_time() - began < 5


@pytest.mark.parametrize("case", [case for case in CASES if b"</" in case.sent.body], ids=str)
def test_a_hostile_entity_is_refused(case: Case) -> None:
    start = case.sent.body.index(b"<")
    end = case.sent.body.rindex(b">") + 1
    hostile = case.sent.body[:start] + HOSTILE_XML + case.sent.body[end:]
    assert isinstance(events_or_refusal(case.adapter, dataclasses.replace(case.sent, body=hostile)), Refuse)


@every_plate
def test_no_plate_is_an_event_without_an_identifier(case: Case) -> None:
    (event,) = case.sent.replaced(case.written, b"noPlate").parse(case.adapter)
    assert (event.kind, event.identifiers) == (case.kind, ())


@every_adapter
@pytest.mark.parametrize(
    "content_type", ["image/jpeg", "application/octet-stream", "x" * 5000, "a/b; boundary"]
)
def test_another_content_type_is_unsupported(adapter: str, content_type: str) -> None:
    with pytest.raises(UnsupportedContent):
        Sent(content_type, b"{}").parse(adapter)


@every_adapter
def test_a_refusal_repeats_nothing_of_the_payload(adapter: str) -> None:
    for sent in (
        Sent("application/json", json.dumps([PLATE, {"data": PLATE}]).encode()),
        Sent("application/xml", f"<{PLATE}><eventType>{PLATE}</eventType>".encode()),
        Sent(f"multipart/form-data; boundary={PLATE}", PLATE.encode()),
    ):
        refusal = events_or_refusal(adapter, sent)
        assert isinstance(refusal, Refuse)
        assert PLATE not in str(refusal)


@every_case
def test_the_representation_of_an_event_shows_no_plate(case: Case) -> None:
    shown = repr(case.sent.parse(case.adapter))
    assert PLATE not in shown
    assert case.written not in shown


_NASTY = [
    b"\x00",
    b'"\\ud800"',
    b"\xed\xa0\x80",
    b"<!ENTITY a 'b'>",
    b"&#xD800;",
    b"&#0;",
    b"--" + BOUNDARY.encode(),
    b"\r\n\r\n",
    "\u202e\ufeff".encode(),
    b"[" * 2000,
    b"]]>",
    b"null",
    b"[]",
    b"{}",
]
_ABSURD = [
    b"-1",
    b"1e999",
    b"NaN",
    b"9" * 400,
    b"9" * 5000,
    b"-0.0",
    b"0x7f",
    b"null",
    b"true",
    b'""',
    b"[[]]",
]
_ENCODINGS = ["gb18030", "utf-16", "utf-8-sig", "latin-1", "utf-32"]


def _mutated(body: bytes, chance: random.Random) -> bytes:
    """One thing that goes wrong on the way, or that firmware gets wrong."""
    start = chance.randrange(len(body) + 1)
    match chance.randrange(6):
        case 0:
            return body[:start]
        case 1:
            return body[:start] + body[start + chance.randrange(200) :]
        case 2:
            return body[:start] + chance.choice(_NASTY) + body[start:]
        case 3:
            return body.decode("utf-8", errors="ignore").encode(chance.choice(_ENCODINGS), errors="ignore")
        case 4:
            # A number where one was, and another where a field's whole line was.
            digits = [at for at in range(start, min(start + 400, len(body))) if body[at : at + 1].isdigit()]
            at = digits[0] if digits else start
            end = at
            while body[end : end + 1].isdigit():
                end += 1
            return body[:at] + chance.choice(_ABSURD) + body[end:]
        case _:
            lines = body.split(b"\n")
            del lines[chance.randrange(len(lines))]
            return b"\n".join(lines)


@settings(max_examples=40)
@given(chance=st.randoms(use_true_random=True))
def test_mutated_payloads_give_events_or_a_refusal(chance: random.Random) -> None:
    for case in CASES:
        body = case.sent.body
        for _ in range(chance.randint(1, 4)):
            body = _mutated(body, chance)
        events_or_refusal(case.adapter, dataclasses.replace(case.sent, body=body))


@settings(max_examples=30)
@given(chance=st.randoms(use_true_random=True))
def test_payloads_with_a_field_wrong_give_events_or_a_refusal(chance: random.Random) -> None:
    for case in CASES:
        sent = case.sent
        for _ in range(chance.randint(1, 3)):
            sent = with_one_field_wrong(sent, chance)
        events_or_refusal(case.adapter, sent)


@settings(max_examples=100)
@given(
    content_type=st.one_of(
        st.text(max_size=60),
        st.sampled_from(sorted({case.sent.content_type for case in CASES})),
        st.just("multipart/form-data; charset*=x'y'z; boundary*0=a"),
    ),
    body=st.one_of(st.binary(max_size=400), st.sampled_from([case.sent.body for case in CASES])),
    adapter=st.sampled_from(sorted(ADAPTERS)),
)
def test_any_bytes_give_events_or_a_refusal(content_type: str, body: bytes, adapter: str) -> None:
    events_or_refusal(adapter, Sent(content_type, body))
