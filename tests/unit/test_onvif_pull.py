"""What an edge program is told, and what it keeps while the gateway is away."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from alerthub.cli.onvif import read_settings
from alerthub.domain.errors import Refuse
from alerthub.edge import kept_messages
from alerthub.edge.kept_messages import Kept, KeptMessages
from alerthub.edge.onvif_camera import CameraAuthentication
from alerthub.edge.onvif_pull import EdgeSettings

CONFIGURATION = """
gateway: https://gateway.city.example:8443
ca_file: ca.pem
cameras:
  - device: north-gate
    secret_file: north-gate.secret
    address: http://10.1.2.3
    user: hub
    password_file: north-gate.password
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("ca.pem", "north-gate.secret", "north-gate.password"):
        (tmp_path / name).write_text("swordfish\n", encoding="utf-8")
    return tmp_path


def read(folder: Path, configuration: str) -> EdgeSettings:
    file = folder / "cameras.yaml"
    file.write_text(configuration, encoding="utf-8")
    return read_settings(file)


def test_paths_are_those_beside_the_file_and_secrets_are_files(folder: Path) -> None:
    settings = read(folder, CONFIGURATION)
    [pairing] = settings.cameras
    assert settings.ca_file == folder / "ca.pem"
    assert pairing.camera.password == "swordfish"  # noqa: S105
    assert pairing.camera.authentication is CameraAuthentication.DIGEST
    assert "swordfish" not in repr(settings)


@pytest.mark.parametrize(
    ("written", "instead", "field"),
    [
        ("https://gateway", "http://gateway", "gateway"),
        ("http://10.1.2.3", "http://10.1.2.3/onvif/device_service", "cameras.0.address"),
        ("http://10.1.2.3", "http://hub:swordfish@10.1.2.3", "cameras.0.address"),
        ("http://10.1.2.3", "rtsp://10.1.2.3", "cameras.0.address"),
        ("user: hub", "usr: hub", "cameras.0.user"),
        ("user: hub", "user: hub\n    authentication: basic", "cameras.0.authentication"),
        ("user: hub", "user: hub\n    lease_seconds: 5", "cameras.0.lease_seconds"),
        ("north-gate.password", "missing.password", "cameras.north-gate.password_file"),
    ],
)
def test_a_wrong_field_is_named_and_what_was_written_is_not(
    folder: Path, written: str, instead: str, field: str
) -> None:
    with pytest.raises(Refuse) as refused:
        read(folder, CONFIGURATION.replace(written, instead))
    assert refused.value.field == field
    assert "swordfish" not in str(refused.value)


def test_what_an_address_must_be_is_said(folder: Path) -> None:
    with pytest.raises(Refuse) as refused:
        read(folder, CONFIGURATION.replace("http://10.1.2.3", "10.1.2.3"))
    assert refused.value.expected == "https://HOST[:PORT] or http://HOST[:PORT]"


def test_one_credential_is_one_camera(folder: Path) -> None:
    camera = CONFIGURATION.split("cameras:\n")[1]
    with pytest.raises(Refuse, match="each device once"):
        read(folder, CONFIGURATION + camera.replace("10.1.2.3", "10.1.2.4"))


def message(size: int = 1, *, at: float = 0.0, declared: str = "") -> Kept:
    return Kept(b"x" * size, declared, at)


async def test_what_waits_goes_in_its_order_and_stays_until_it_is_forgotten() -> None:
    kept = KeptMessages()
    messages = [message(at=number) for number in range(5)]
    await kept.put(messages)
    assert await kept.first(limit=3, maximum_bytes=1_000) == messages[:3]
    await kept.forget(1)
    assert await kept.first(limit=3, maximum_bytes=2) == messages[1:3]


async def test_a_message_that_is_too_long_for_company_goes_alone() -> None:
    kept = KeptMessages()
    await kept.put([message(100), message()])
    assert await kept.first(limit=3, maximum_bytes=10) == [message(100)]


async def test_messages_with_other_declarations_go_apart() -> None:
    kept = KeptMessages()
    await kept.put([message(declared=" a"), message(declared=" a"), message(declared=" b")])
    assert len(await kept.first(limit=3, maximum_bytes=10)) == 2


@pytest.mark.parametrize(
    "many", [[message(kept_messages.MAXIMUM_BYTES)], [message()] * kept_messages.MAXIMUM_MESSAGES]
)
async def test_nothing_is_pulled_that_there_is_no_room_for(many: list[Kept]) -> None:
    kept = KeptMessages()
    await kept.put(many)
    assert not kept.has_room
    waiting = asyncio.create_task(kept.room())
    await kept.forget(1)
    await waiting
    assert kept.has_room


async def test_only_what_is_too_old_goes_untold() -> None:
    kept = KeptMessages()
    await kept.put([message(at=1.0), message(at=2.0), message(at=3.0)])
    assert await kept.forget_older(2.0) == 1
    assert len(kept) == 2
