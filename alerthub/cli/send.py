"""`alerthub send`: a captured payload goes to the gateway as the device would send it."""

from __future__ import annotations

import json
import ssl
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import httpx
import typer

from alerthub.cli.context import DEFAULT_DATA, DataOption, JsonOption, fail
from alerthub.cli.send_mqtt import Publication, publish, topic_of
from alerthub.domain.errors import AlertHubError, Refuse, Retry
from alerthub.edge.gateway_door import error_of
from alerthub.embedded.folder import HubFolder

_MAXIMUM_FILE_BYTES = 64 * 1024 * 1024
"""More than any gateway takes, so that its refusal can be tried, and no disk image by mistake."""
_ATTEMPTS = 5
"""As cameras do: again while the gateway asks to come again."""
_LONGEST_WAIT_SECONDS = 5.0
_REQUEST_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is sent, to whom and as whom."""

    url: str
    ca_file: Path
    device: str
    secret: str = field(repr=False)
    adapter: str
    content_type: str
    body: bytes = field(repr=False)
    in_url: bool

    @property
    def path(self) -> str:
        """The path to post to. With a URL token it holds the secret, so it is shown nowhere."""
        path = f"/v1/ingest/{quote(self.adapter, safe='')}"
        if self.in_url:
            path += f"/token/{quote(self.device, safe='')}/{quote(self.secret, safe='')}"
        return path


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("send")(send)


def send(
    file: Annotated[Path, typer.Argument(help="The payload: a body as a device posts it.")],
    *,
    adapter: Annotated[
        str,
        typer.Option(
            "--adapter", help="As the device's make needs: hikvision-anpr, cloudevents, … (docs/devices.md)."
        ),
    ],
    device: Annotated[str, typer.Option("--device", help="The registered device that it is sent as.")],
    data: DataOption = DEFAULT_DATA,
    secret_file: Annotated[
        Path | None,
        typer.Option("--secret-file", help="Default: DATA/devices/ID.secret."),
    ] = None,
    content_type: Annotated[
        str, typer.Option("--content-type", help="Default: guessed from the first bytes.")
    ] = "",
    url: Annotated[str, typer.Option("--url", help="The gateway. Default: the hub of the data folder.")] = "",
    ca_file: Annotated[
        Path | None, typer.Option("--ca-file", help="The authority that the gateway is known by.")
    ] = None,
    url_token: Annotated[
        bool, typer.Option("--url-token", help="The secret in the URL, for devices of that class.")
    ] = False,
    mqtt: Annotated[
        bool, typer.Option("--mqtt", help="Publish it by MQTT instead; --url is then host:port of a broker.")
    ] = False,
    topic: Annotated[
        str, typer.Option("--topic", help="By MQTT: the levels below DEVICE/ADAPTER/, such as events.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Send a captured payload to the gateway as the device would: over HTTPS, with the device's own secret.

    Examples: alerthub send push.txt --adapter hikvision-anpr --device north-gate-1
    and alerthub send event.json --adapter frigate --device cabinet-1 --mqtt --topic events
    """
    try:
        folder = HubFolder(data)
        body = _content(file)
        if mqtt:
            _published(
                Publication(
                    address=url or _broker_of(folder),
                    ca_file=_existing(ca_file or folder.ca_file, "--ca-file"),
                    device=device,
                    secret=_secret(secret_file or data / "devices" / f"{_file_name(device)}.secret"),
                    topic=topic_of(device, adapter, topic),
                    body=body,
                ),
                as_json=as_json,
            )
            return
        delivery = Delivery(
            url=url or _gateway_of(folder),
            ca_file=ca_file or folder.ca_file,
            device=device,
            secret=_secret(secret_file or data / "devices" / f"{_file_name(device)}.secret"),
            adapter=adapter,
            content_type=content_type or guessed_content_type(body, adapter),
            body=body,
            in_url=url_token,
        )
        began = time.perf_counter()
        answer = deliver(delivery)
    except AlertHubError as error:
        fail(error, as_json=as_json)
    milliseconds = round((time.perf_counter() - began) * 1000)
    if as_json:
        typer.echo(json.dumps({"ok": True, **answer, "milliseconds": milliseconds}))
        return
    typer.echo(f"Acknowledged after {milliseconds} ms: {_told(answer)}")


def _published(publication: Publication, *, as_json: bool) -> None:
    began = time.perf_counter()
    publish(publication)
    milliseconds = round((time.perf_counter() - began) * 1000)
    if as_json:
        typer.echo(json.dumps({"ok": True, "milliseconds": milliseconds}))
        return
    # MQTT has no word for a payload that is refused: the gateway counts it.
    typer.echo(
        f"Acknowledged after {milliseconds} ms: on Kafka, or refused by the adapter (gateway's metrics)."
    )


def guessed_content_type(body: bytes, adapter: str = "cloudevents") -> str:
    """The Content-Type that a device would have sent with this body, from its first bytes.

    A multipart body shows its boundary in its first line. Refuse where nothing fits.
    """
    start = body[:1024].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"--"):
        boundary = start.split(b"\n", 1)[0].strip()[2:].decode("ascii", errors="ignore")
        return f'multipart/form-data; boundary="{boundary}"'
    of_cloudevents = adapter == "cloudevents"
    for first, content_type in (
        (b"<", "application/xml"),
        (b"{", "application/cloudevents+json" if of_cloudevents else "application/json"),
        (b"[", "application/cloudevents-batch+json" if of_cloudevents else "application/json"),
        (b"Code=", "text/plain"),
    ):
        if start.startswith(first):
            return content_type
    raise Refuse("--content-type", "the payload's type: its first bytes are neither XML, JSON nor multipart")


def deliver(delivery: Delivery) -> dict[str, int]:
    """Posts it, again while the gateway asks for that; the gateway's answer. Refuse or Retry."""
    auth: httpx.Auth = httpx.BasicAuth(delivery.device, delivery.secret)
    if delivery.in_url:
        auth = httpx.Auth()
    trust = ssl.create_default_context(cafile=str(_existing(delivery.ca_file, "--ca-file")))
    wait = Retry("the gateway did not answer")
    with httpx.Client(base_url=delivery.url, verify=trust, timeout=_REQUEST_SECONDS) as client:
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(min(_LONGEST_WAIT_SECONDS, wait.after_seconds))
            try:
                response = client.post(
                    delivery.path,
                    content=delivery.body,
                    headers={"content-type": delivery.content_type},
                    auth=auth,
                )
            except httpx.TransportError as error:
                wait = Retry(f"the gateway at {delivery.url} does not answer: {type(error).__name__}")
                continue
            if response.status_code == httpx.codes.OK:
                return {name: int(value) for name, value in response.json().items()}
            refusal = error_of(response)
            if not isinstance(refusal, Retry):
                raise refusal
            wait = refusal
    raise wait


def _told(answer: dict[str, int]) -> str:
    count = answer.get("acknowledged", 0)
    sentence = f"{count} event{'' if count == 1 else 's'} on Kafka."
    if answer.get("identifiers_dropped"):
        sentence += (
            f" {answer['identifiers_dropped']} without identifiers: the device has no check authorisation."
        )
    if answer.get("late"):
        sentence += f" {answer['late']} came more than a minute after it happened."
    return sentence


def _content(file: Path) -> bytes:
    if _existing(file, "FILE").stat().st_size > _MAXIMUM_FILE_BYTES:
        raise Refuse("FILE", f"at most {_MAXIMUM_FILE_BYTES} bytes")
    return file.read_bytes()


def _secret(file: Path) -> str:
    secret = _existing(file, "--secret-file").read_text(encoding="utf-8").strip()
    if not secret:
        raise Refuse("--secret-file", f"a file with the device's secret; {file} is empty")
    return secret


def _existing(file: Path, name: str) -> Path:
    if not file.is_file():
        raise Refuse(name, f"a file; {file} is none")
    return file


def _file_name(device: str) -> str:
    """The device's id as a file name, for ids that are ones."""
    if not device or "/" in device or device.startswith("."):
        raise Refuse("--device", "a device's id")
    return device


def _broker_of(folder: HubFolder) -> str:
    address = folder.read_hub().get("addresses", {}).get("mqtt")
    if not address:
        raise Retry(f"the hub in {folder.root} has no MQTT broker now; start it with `alerthub up`")
    return str(address)


def _gateway_of(folder: HubFolder) -> str:
    address = folder.read_hub().get("gateway_url")
    if not address:
        raise Retry(f"the hub in {folder.root} is not started; start it with `alerthub up`")
    return str(address)
