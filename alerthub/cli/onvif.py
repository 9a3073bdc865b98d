"""`alerthub onvif pull`: an edge program for cameras that can be pulled from and cannot push."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import signal
import socket
from collections import Counter
from pathlib import Path
from typing import Annotated

import httpx
import typer
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from alerthub.cli.context import JsonOption, run
from alerthub.cli.documents import read_documents
from alerthub.domain.errors import Refuse
from alerthub.edge.onvif_camera import CameraAuthentication, CameraSettings
from alerthub.edge.onvif_pull import Counts, EdgeSettings, Pairing, pull_all
from alerthub.telemetry import configure_logging

application = typer.Typer(help="Speak for cameras that only offer ONVIF pull points.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.add_typer(application, name="onvif")


class _Read(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class _Camera(_Read):
    device: str = Field(min_length=1, max_length=128)
    secret_file: Path
    address: str
    user: str = Field(min_length=1, max_length=128)
    password_file: Path
    authentication: CameraAuthentication = CameraAuthentication.DIGEST
    ca_file: Path | None = None
    lease_seconds: int = Field(default=120, ge=20, le=3600)
    pull_seconds: int = Field(default=20, ge=1, le=60)

    _address = field_validator("address")(lambda value: _origin(value, ("https", "http")))


class _File(_Read):
    gateway: str
    ca_file: Path
    cameras: list[_Camera] = Field(min_length=1, max_length=500)

    _gateway = field_validator("gateway")(lambda value: _origin(value, ("https",)))


def _origin(value: str, schemes: tuple[str, ...]) -> str:
    refusal = PydanticCustomError("origin", " or ".join(f"{each}://HOST[:PORT]" for each in schemes))
    try:
        url = httpx.URL(value)
    except httpx.InvalidURL:
        raise refusal from None
    if url.scheme not in schemes or not url.host or url.userinfo or url.query or url.path not in ("", "/"):
        raise refusal
    return value.rstrip("/")


def read_settings(file: Path) -> EdgeSettings:
    """The configuration of an edge program. Paths in it are relative to the file. Refuse names the field."""
    documents = read_documents(file)
    if len(documents) != 1:
        raise Refuse(str(file), "one document")
    try:
        told = _File.model_validate(documents[0])
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        raise Refuse(".".join(str(part) for part in first["loc"]) or str(file), first["msg"]) from None
    [(device, most)] = Counter(camera.device for camera in told.cameras).most_common(1)
    if most > 1:
        raise Refuse("cameras.device", f"each device once: a credential is one device; {device} comes twice")
    folder = file.parent
    return EdgeSettings(
        told.gateway,
        _existing(folder / told.ca_file, "ca_file"),
        tuple(_pairing(folder, camera) for camera in told.cameras),
    )


def _pairing(folder: Path, told: _Camera) -> Pairing:
    where = f"cameras.{told.device}"
    password = _existing(folder / told.password_file, f"{where}.password_file").read_text(encoding="utf-8")
    authority = None if told.ca_file is None else _existing(folder / told.ca_file, f"{where}.ca_file")
    return Pairing(
        told.device,
        _existing(folder / told.secret_file, f"{where}.secret_file"),
        CameraSettings(
            origin=told.address,
            user=told.user,
            password=password.strip(),
            authentication=told.authentication,
            ca_file=authority,
            lease_seconds=told.lease_seconds,
            pull_seconds=told.pull_seconds,
        ),
    )


def _existing(file: Path, name: str) -> Path:
    if not file.is_file():
        raise Refuse(name, f"a file; {file} is none")
    return file


@application.command(
    "pull",
    epilog="Examples:  alerthub onvif pull cameras.yaml   |   alerthub onvif pull cameras.yaml --json"
    "   (docs/devices.md has a cameras.yaml)",
)
def pull(
    file: Annotated[Path, typer.Argument(help="Which cameras, and the gateway: YAML.")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Subscribe at each camera's pull point, and post what it tells at the gateway as its device.

    Runs until Ctrl-C or SIGTERM. What it says meanwhile are JSON lines on standard error.
    """
    counts = run(_pull(file, quiet=as_json), as_json=as_json)
    if as_json:
        typer.echo(json.dumps({"ok": True, **dataclasses.asdict(counts)}))
        return
    typer.echo(
        f"{counts.pulled} pulled in {counts.subscriptions} subscriptions: {counts.acknowledged} acknowledged,"
        f" {counts.refused} refused by the gateway, {counts.expired} too old,"
        f" {counts.left} lost by ending now."
    )


async def _pull(file: Path, *, quiet: bool) -> Counts:
    settings = read_settings(file)
    configure_logging(service="onvif-pull", instance=socket.gethostname(), level="info")
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    if not quiet:
        count = len(settings.cameras)
        typer.echo(f"Pulling from {count} camera{'' if count == 1 else 's'}. Ctrl-C ends.", err=True)
    return await pull_all(settings, stopping)
