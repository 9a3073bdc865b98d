"""`alerthub send`: the content type is guessed, the secret is shown nowhere, and a refusal is one
sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from alerthub.cli import send
from alerthub.cli.send import Delivery, guessed_content_type
from alerthub.cli.send_mqtt import topic_of
from alerthub.domain.errors import Refuse

SECRET = "secret-canary"  # noqa: S105 - of a device that exists in memory only
FIXTURES = Path(__file__).parents[1] / "contract" / "fixtures"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"--abc\r\nContent-Disposition: form-data\r\n", 'multipart/form-data; boundary="abc"'),
        (b"----------7e13971\nContent-", 'multipart/form-data; boundary="--------7e13971"'),
        ((FIXTURES / "hikvision_anpr.xml").read_bytes(), "application/xml"),
        (b"\xef\xbb\xbf\n<EventNotificationAlert>", "application/xml"),
        ((FIXTURES / "cloudevents_read.json").read_bytes(), "application/cloudevents+json"),
        (b' [{"specversion"', "application/cloudevents-batch+json"),
    ],
)
def test_the_content_type_is_guessed_from_the_first_bytes(body: bytes, expected: str) -> None:
    assert guessed_content_type(body) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [(b'{"type": "update"}', "application/json"), (b"[{}]", "application/json"), (b"Code=X;", "text/plain")],
)
def test_other_adapters_get_what_their_devices_send(body: bytes, expected: str) -> None:
    assert guessed_content_type(body, "frigate") == expected


def test_by_mqtt_a_payload_goes_below_the_devices_own_name() -> None:
    assert topic_of("cabinet-1", "frigate", "/events/") == "cabinet-1/frigate/events"
    assert topic_of("camera-1", "axis", "") == "camera-1/axis"
    with pytest.raises(Refuse, match="--topic"):
        topic_of("camera-1", "axis", "#")


def test_what_is_neither_asks_for_the_content_type() -> None:
    with pytest.raises(Refuse, match="--content-type"):
        guessed_content_type(b"plate,time\n")


@given(st.binary(max_size=300))
def test_any_file_gives_a_content_type_or_a_refusal(body: bytes) -> None:
    try:
        guessed = guessed_content_type(body)
    except Refuse:
        return
    assert "/" in guessed


def delivery(*, in_url: bool) -> Delivery:
    return Delivery(
        url="https://gateway",
        ca_file=Path("ca.pem"),
        device="camera/1",
        secret=SECRET,
        adapter="cloudevents",
        content_type="application/json",
        body=b"{}",
        in_url=in_url,
    )


def test_the_secret_is_in_the_url_only_when_that_is_asked_for() -> None:
    assert SECRET not in delivery(in_url=False).path
    assert delivery(in_url=True).path == f"/v1/ingest/cloudevents/token/camera%2F1/{SECRET}"


def test_the_secret_is_not_in_the_representation() -> None:
    assert SECRET not in repr(delivery(in_url=True))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["none.txt", "--adapter", "cloudevents", "--device", "d"], "FILE"),
        (["{file}", "--adapter", "cloudevents", "--device", "d", "--data", "{folder}"], "hub.json"),
        (
            ["{file}", "--adapter", "cloudevents", "--device", "../d", "--url", "https://localhost:1"],
            "--device",
        ),
        (
            ["{file}", "--adapter", "cloudevents", "--device", "d", "--url", "https://localhost:1"],
            "--secret-file",
        ),
    ],
)
def test_a_wrong_argument_ends_with_one_sentence_that_names_it(
    tmp_path: Path, arguments: list[str], named: str
) -> None:
    payload = tmp_path / "payload"
    payload.write_bytes(b"{}")
    app = typer.Typer()
    send.register(app)
    filled = [each.format(file=payload, folder=tmp_path) for each in arguments]
    result = CliRunner().invoke(app, filled)
    assert result.exit_code == 2
    assert named in result.output
    assert len(result.output.strip().splitlines()) == 1
