"""What only CloudEvents do."""

from __future__ import annotations

import dataclasses
import json

import pytest
from adapter_cases import Sent, fixture

from alerthub.domain.errors import Refuse
from alerthub.domain.identifiers import IdentifierKind


def cloud_event(**changes: object) -> Sent:
    """The good event with changed attributes; `data` is merged, None removes."""
    event = json.loads(fixture("cloudevents_read.json"))
    event["data"] |= changes.pop("data", {})
    event |= changes
    event = {name: value for name, value in event.items() if value is not None}
    return Sent("application/cloudevents+json", json.dumps(event).encode())


class TestCloudEvents:
    """Attributes and data."""

    @pytest.mark.parametrize(
        ("changes", "field_name"),
        [
            ({"specversion": "0.3"}, "specversion"),
            ({"id": None}, "id"),
            ({"source": ""}, "source"),
            ({"type": "com.example.other"}, "type"),
            ({"time": "soon"}, "time"),
            ({"data": {"plate": 7}}, "data.plate"),
            ({"data": {"confidence": 83}}, "data.confidence"),
            ({"data": {"confidence": True}}, "data.confidence"),
            ({"data": {"lane": 2.5}}, "data.lane"),
            ({"data": {"direction": "north"}}, "data.direction"),
            ({"data": {"picture": "not base64!"}}, "data.picture"),
            ({"data": {"picture": "aGVsbG8="}}, "data.picture"),
            ({"data": {"track": "冀R7K2Q9"}}, "data.track"),
            ({"data": {"make": "a\nb"}}, "data.make"),
            ({"type": "alerthub.vehicle.standing", "data": {"plate": None}}, "data.track"),
        ],
    )
    def test_a_wrong_field_is_named(self, changes: dict[str, object], field_name: str) -> None:
        with pytest.raises(Refuse) as refused:
            cloud_event(**changes).parse("cloudevents")
        assert refused.value.field == field_name

    def test_a_wrong_field_in_a_batch_is_named_with_its_place(self) -> None:
        wrong = cloud_event(data={"lane": -1})
        body = b"[" + fixture("cloudevents_read.json") + b"," + wrong.body + b"]"
        with pytest.raises(Refuse) as refused:
            Sent("application/cloudevents-batch+json", body).parse("cloudevents")
        assert refused.value.field == "[1].data.lane"

    def test_a_batch_of_257_is_too_large(self) -> None:
        body = b"[" + b",".join([fixture("cloudevents_read.json")] * 257) + b"]"
        with pytest.raises(Refuse, match="256 events"):
            Sent("application/cloudevents-batch+json", body).parse("cloudevents")

    @pytest.mark.parametrize("kind", ["panic", "escort", "service"])
    def test_a_call_has_no_identifiers(self, kind: str) -> None:
        (event,) = cloud_event(type=f"alerthub.call.{kind}").parse("cloudevents")
        assert event.call is not None
        assert event.identifiers == ()

    def test_features_in_the_data_are_kept_nowhere(self) -> None:
        (event,) = cloud_event(data={"face": "canary", "gait": {"vector": ["canary"]}}).parse("cloudevents")
        assert not any("canary" in str(getattr(event, one.name)) for one in dataclasses.fields(event))

    def test_document_and_tag_are_read_too(self) -> None:
        (event,) = cloud_event(data={"document": "11010519491231002X", "tag": "02:00:00:00:00:07"}).parse(
            "cloudevents"
        )
        assert [read.kind for read in event.identifiers] == list(IdentifierKind)

    def test_the_device_is_never_taken_from_the_body(self) -> None:
        (event,) = cloud_event(device_id="another", subject="another").parse("cloudevents")
        assert "another" not in str([getattr(event, one.name) for one in dataclasses.fields(event)])
