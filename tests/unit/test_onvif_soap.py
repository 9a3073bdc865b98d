"""What cameras answer is read bounded, and their notifications go on as they came."""

from __future__ import annotations

import contextlib
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onvif_device import crossed, envelope, fault

from alerthub.device_xml import parse, parser_for
from alerthub.domain.errors import AlertHubError, NotAllowed, Refuse
from alerthub.edge import onvif_soap as soap
from services.gateway.adapters import onvif

READERS = [
    soap.read_clock,
    soap.read_event_service,
    soap.read_subscription,
    soap.read_messages,
    soap.read_renewal,
    soap.read_end,
]


def pulled(*messages: str) -> bytes:
    return envelope(f"<tev:PullMessagesResponse>{''.join(messages)}</tev:PullMessagesResponse>")


def test_the_adapter_reads_the_same_of_what_is_passed_on_as_of_the_answer_itself() -> None:
    answer = pulled(crossed(1), crossed(2, rule="北门 &amp; &lt;yard&gt;"))
    found = soap.read_messages(answer)
    passed_on = soap.notify(found.messages, found.declared)
    assert len(found.messages) == 2
    assert onvif.events_in_xml(passed_on, "utf-8") == onvif.events_in_xml(answer, "utf-8")


def test_a_notification_keeps_the_namespaces_that_it_was_told_in() -> None:
    found = soap.read_messages(pulled(crossed(1)))
    assert 'xmlns:tns1="http://www.onvif.org/ver10/topics"' in found.declared


def test_two_signs_of_life_are_two_events() -> None:
    first, second = (
        onvif.events_in_xml(soap.alive(datetime(2034, 2, 3, 4, 5, second, tzinfo=UTC)), "utf-8")
        for second in (1, 2)
    )
    assert first[0].payload_digest != second[0].payload_digest


@pytest.mark.parametrize(
    ("subcode", "error"),
    [
        ("NotAuthorized", NotAllowed),
        ("ResourceUnknownFault", soap.SubscriptionEnded),
        ("ActionNotSupported", soap.FaultError),
    ],
)
def test_a_fault_says_what_happens_next(subcode: str, error: type[AlertHubError]) -> None:
    with pytest.raises(error):
        soap.read_messages(fault(subcode))


def test_what_tells_subscriptions_apart_goes_into_each_request() -> None:
    made = soap.read_subscription(
        envelope(
            "<tev:CreatePullPointSubscriptionResponse><tev:SubscriptionReference>"
            "<wsa5:Address>http://camera/events</wsa5:Address><wsa5:ReferenceParameters>"
            '<axis:SubscriptionId xmlns:axis="urn:axis">7</axis:SubscriptionId><tt:Other>8</tt:Other>'
            "</wsa5:ReferenceParameters></tev:SubscriptionReference>"
            "<wsnt:CurrentTime>2034-01-01T00:00:00Z</wsnt:CurrentTime>"
            "<wsnt:TerminationTime>2034-01-01T02:02:00+02:00</wsnt:TerminationTime>"
            "</tev:CreatePullPointSubscriptionResponse>"
        )
    )
    request = soap.unsubscribe().envelope(made.address, message_id="urn:uuid:1")
    assert (
        b'<axis:SubscriptionId xmlns:axis="urn:axis">7</axis:SubscriptionId><tt:Other>8</tt:Other>' in request
    )
    assert b'xmlns:tt="http://www.onvif.org/ver10/schema"' in request
    assert made.granted_seconds == 120


HOSTILE = {
    "document type": b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
    "external entity": b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
    "too deep": b"<a>" * 100 + b"</a>" * 100,
    "too many elements": b"<a>" + b"<b/>" * 30_000 + b"</a>",
    "too many notifications": pulled(*["<wsnt:NotificationMessage>1</wsnt:NotificationMessage>"] * 2_000),
    "no XML": b"camera is busy",
    "no UTF-8": envelope("<tev:PullMessagesResponse/>").replace(b"tev:Pull", b"\xb1\xb1:Pull"),
    "another answer": envelope("<tev:GetEventPropertiesResponse/>"),
    "no envelope": b"<PullMessagesResponse/>",
    "too many declarations": pulled(crossed(1)).replace(
        b"<soap:Envelope", b"<soap:Envelope" + b"".join(b' xmlns:n%d="u"' % n for n in range(100)), 1
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_answer_is_refused(name: str) -> None:
    with pytest.raises(Refuse) as refused:
        soap.read_messages(HOSTILE[name])
    assert refused.value.field == "the camera's answer"


def test_a_long_namespace_is_not_copied_for_each_name() -> None:
    names = "".join(f"<long:e{number}/>" for number in range(500))
    answer = pulled(crossed(1), f'<tt:All xmlns:long="{"u" * 100_000}">{names}</tt:All>')
    tracemalloc.start()
    try:
        soap.read_messages(answer)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 * len(answer)


def test_what_is_echoed_to_a_camera_is_bounded() -> None:
    long = "<axis:Id>" + "x" * 10_000 + "</axis:Id>"
    with pytest.raises(Refuse):
        soap.read_subscription(
            envelope(
                "<tev:CreatePullPointSubscriptionResponse><tev:SubscriptionReference>"
                f"<wsa5:Address>http://camera/</wsa5:Address><wsa5:ReferenceParameters>{long}"
                "</wsa5:ReferenceParameters></tev:SubscriptionReference>"
                "</tev:CreatePullPointSubscriptionResponse>"
            )
        )


@given(st.sampled_from(READERS), st.binary(max_size=200) | st.text(max_size=200).map(envelope))
def test_no_answer_ends_in_anything_but_one_of_the_hubs_own_errors(
    reader: Callable[[bytes], object], answer: bytes
) -> None:
    with contextlib.suppress(AlertHubError):
        reader(answer)


VALID = pulled(crossed(1), crossed(2))


@given(st.integers(0, len(VALID)), st.binary(max_size=8), st.integers(0, 40))
def test_a_damaged_answer_is_refused_or_read_as_whole_notifications(
    at: int, inserted: bytes, removed: int
) -> None:
    damaged = VALID[:at] + inserted + VALID[at + removed :]
    try:
        found = soap.read_messages(damaged)
    except AlertHubError:
        return
    # What is passed on is well-formed, whatever was done to the answer.
    parse(parser_for(_Anything()), soap.notify(found.messages, found.declared))


class _Anything:
    def start(self, name: str, attributes: object) -> None:
        """Takes everything."""

    def text(self, data: str) -> None:
        """Takes everything."""

    def end(self, name: str) -> None:
        """Takes everything."""


def test_a_signed_request_never_holds_the_password() -> None:
    token = soap.UsernameToken(
        "hub", "swordfish", b"0123456789abcdef", datetime(2034, 1, 2, 3, 4, 5, tzinfo=UTC)
    )
    signed = token.as_xml()
    assert "swordfish" not in signed
    assert "<utility:Created>2034-01-02T03:04:05Z</utility:Created>" in signed
    assert "swordfish" not in repr(token)
