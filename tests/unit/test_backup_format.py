"""What a backup is as files: sealed, whole or refused, and ended when its time is over (C19)."""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from alerthub.backup import keeper_keys, postgres_tools, taking, verifying
from alerthub.backup.manifest import DAY_MS, FILE_NAME, KEY_ID, Manifest, Part, SchemaState, read
from alerthub.backup.sealed_stream import CHUNK_BYTES, SealingWriter, opened, part_key
from alerthub.cli.main import application
from alerthub.domain.errors import Refuse
from alerthub.embedded.folder import HubFolder
from alerthub.provision import pki
from alerthub.sealing import CannotOpenError, Recipient, generate_private_key, public_key_of, wrap
from alerthub.settings import PostgresSettings

KEEPER = generate_private_key()
KEY = bytes(range(32))
TAG_BYTES = 16


def sealed(plain: bytes, *, pieces: int = 1) -> bytes:
    file = io.BytesIO()
    writer = SealingWriter(file, KEY)
    step = max(1, len(plain) // pieces)
    for start in range(0, len(plain), step):
        writer.write(plain[start : start + step])
    writer.finish()
    return file.getvalue()


def plain_of(content: bytes, key: bytes = KEY) -> bytes:
    return b"".join(opened(io.BytesIO(content), key))


# The stream


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES])
def test_what_was_sealed_opens_whatever_its_size(size: int) -> None:
    plain = os.urandom(size)
    assert plain_of(sealed(plain, pieces=3)) == plain


@settings(max_examples=50)
@given(at=st.integers(0, 2_000), flip=st.integers(1, 255))
def test_a_changed_byte_is_refused(at: int, flip: int) -> None:
    content = bytearray(sealed(b"\x07" * 2_000))
    content[at] ^= flip
    with pytest.raises(CannotOpenError):
        plain_of(bytes(content))


def test_a_stream_that_ends_early_is_refused_at_a_chunks_end_too() -> None:
    content = sealed(os.urandom(2 * CHUNK_BYTES))
    for length in (len(content) - 1, CHUNK_BYTES + TAG_BYTES, 0):
        with pytest.raises(CannotOpenError):
            plain_of(content[:length])


def test_chunks_that_changed_places_and_another_parts_stream_are_refused() -> None:
    content = sealed(os.urandom(3 * CHUNK_BYTES))
    size = CHUNK_BYTES + TAG_BYTES
    with pytest.raises(CannotOpenError):
        plain_of(content[size : 2 * size] + content[:size] + content[2 * size :])
    with pytest.raises(CannotOpenError):
        plain_of(content, part_key(KEY, "evidence"))


# The folder


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> HubFolder:
    folder = HubFolder(tmp_path_factory.mktemp("hub"))
    folder.create()
    pki.ensure_pki(folder, now=pki.utc_now())
    return folder


def write_backup(hub: HubFolder, to: Path, *, name: str = "alerthub-a", expires_at_ms: int = 2**47) -> Path:
    folder = to / name
    folder.mkdir(parents=True)
    parts = []
    for part in verifying.PARTS:
        writer = SealingWriter(path := io.BytesIO(), part_key(KEY, part))
        writer.write(part.encode())
        writer.finish()
        (folder / f"{part}.sealed").write_bytes(path.getvalue())
        parts.append(Part(f"{part}.sealed", writer.sealed_bytes, writer.sha256))
    data_key_id = bytes(8)
    wrapped = wrap(Recipient(KEY_ID, public_key_of(KEEPER), 2**62), data_key_id, KEY)
    manifest = Manifest(
        backup_id="20261128T010203Z-0123abcd",
        taken_at_ms=1,
        expires_at_ms=expires_at_ms,
        software="0",
        keeper=keeper_keys.fingerprint(public_key_of(KEEPER)),
        data_key_id=data_key_id.hex(),
        wrapped_key=base64.b64encode(wrapped.wrapped).decode(),
        entry_key_check="none",
        schemas=(SchemaState("registry", "0001", 5, 7),),
        parts=tuple(parts),
    ).signed_by(pki.authority_key_file(hub), hub.ca_file)
    (folder / FILE_NAME).write_text(manifest.to_json())
    return folder


def verified(folder: Path, hub: HubFolder, private_key: bytes | None = KEEPER) -> Manifest:
    return verifying.verify(
        folder, private_key=private_key, authority_pem=hub.ca_file.read_bytes(), progress=lambda _: None
    )


def test_a_whole_backup_verifies_and_opens(hub: HubFolder, tmp_path: Path) -> None:
    assert verified(write_backup(hub, tmp_path), hub).backup_id == "20261128T010203Z-0123abcd"


def test_a_backup_without_its_manifest_is_none(hub: HubFolder, tmp_path: Path) -> None:
    folder = write_backup(hub, tmp_path)
    (folder / FILE_NAME).unlink()
    with pytest.raises(Refuse, match="written last"):
        verified(folder, hub)


@pytest.mark.parametrize("part", verifying.PARTS)
def test_a_part_that_is_cut_off_changed_or_lost_is_named(hub: HubFolder, tmp_path: Path, part: str) -> None:
    damages: tuple[Callable[[Path], object], ...] = (
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b"\x00" + path.read_bytes()[1:]),
        lambda path: path.unlink(),
    )
    for number, damage in enumerate(damages):
        folder = write_backup(hub, tmp_path, name=f"alerthub-{number}")
        damage(folder / f"{part}.sealed")
        with pytest.raises(Refuse, match=part):
            verified(folder, hub, private_key=None)


def test_a_manifest_that_was_changed_or_signed_by_another_hub_is_refused(
    hub: HubFolder, tmp_path: Path
) -> None:
    folder = write_backup(hub, tmp_path)
    manifest = read(folder)
    (folder / FILE_NAME).write_text(replace(manifest, taken_at_ms=2).to_json())
    with pytest.raises(Refuse, match="signed by"):
        verified(folder, hub)

    other = HubFolder(tmp_path / "other")
    other.create()
    pki.ensure_pki(other, now=pki.utc_now())
    with pytest.raises(Refuse, match="hub's authority"):
        verified(write_backup(other, tmp_path, name="alerthub-other"), hub)


@settings(max_examples=60)
@given(st.one_of(st.binary(max_size=60), st.recursive(st.none() | st.integers() | st.text(), st.lists)))
def test_a_manifest_that_is_none_is_refused(
    tmp_path_factory: pytest.TempPathFactory, content: object
) -> None:
    folder = tmp_path_factory.mktemp("backup")
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    (folder / FILE_NAME).write_bytes(text)
    with pytest.raises(Refuse):
        read(folder)


@pytest.mark.parametrize(
    "changed",
    [{"expires_at_ms": 2**62}, {"parts": [{"name": "a.sealed", "sealed_bytes": "1", "sha256": ""}]}],
)
def test_a_manifest_with_a_number_that_is_none_is_refused(
    hub: HubFolder, tmp_path: Path, changed: dict[str, object]
) -> None:
    path = write_backup(hub, tmp_path) / FILE_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(Refuse, match="format 1"):
        read(path.parent)


def test_another_keepers_key_is_refused_by_name(hub: HubFolder, tmp_path: Path) -> None:
    with pytest.raises(Refuse, match="fingerprint"):
        verified(write_backup(hub, tmp_path), hub, private_key=generate_private_key())


# Its end


def test_a_backup_ends_when_its_time_is_over_and_a_younger_one_stays(hub: HubFolder, tmp_path: Path) -> None:
    now_ms = 100 * DAY_MS
    write_backup(hub, tmp_path, name="alerthub-old", expires_at_ms=now_ms)
    write_backup(hub, tmp_path, name="alerthub-young", expires_at_ms=now_ms + 1)
    (tmp_path / "alerthub-of-somebody-else").mkdir()
    for name, age_days in (("alerthub-killed.partial", 2), ("alerthub-at-work.partial", 0)):
        (tmp_path / name).mkdir()
        seconds = (now_ms - age_days * DAY_MS) / 1000
        os.utime(tmp_path / name, (seconds, seconds))

    ended = taking.end_expired(tmp_path, now_ms=now_ms)

    assert ended == ["alerthub-killed.partial", "alerthub-old"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "alerthub-at-work.partial",
        "alerthub-of-somebody-else",
        "alerthub-young",
    ]


# Keys and commands


def test_keys_are_made_once_and_each_half_is_refused_in_the_others_place(tmp_path: Path) -> None:
    private_file, public_file = tmp_path / "keeper.key", tmp_path / "keeper.pub"
    keeper_keys.make_pair(private_file=private_file, public_file=public_file)

    assert private_file.stat().st_mode & 0o777 == 0o600
    assert public_key_of(keeper_keys.read_private(private_file)) == keeper_keys.read_public(public_file)
    with pytest.raises(Refuse, match="never be on the hub"):
        keeper_keys.read_public(private_file)
    with pytest.raises(Refuse, match="private key of whoever"):
        keeper_keys.read_private(public_file)
    with pytest.raises(Refuse, match="no key is written over"):
        keeper_keys.make_pair(private_file=private_file, public_file=public_file)


def test_the_command_verifies_and_says_in_json_what_is_wrong(hub: HubFolder, tmp_path: Path) -> None:
    folder = write_backup(hub, tmp_path)
    verify = ["backup", "verify", str(folder), "--authority", str(hub.ca_file), "--json"]

    right = CliRunner().invoke(application(), verify)
    (folder / "witness.sealed").unlink()
    wrong = CliRunner().invoke(application(), verify)

    assert (right.exit_code, json.loads(right.stdout)["ok"]) == (0, True)
    assert (wrong.exit_code, json.loads(wrong.stdout)["field"]) == (2, "witness.sealed")


def test_a_backup_without_its_key_or_place_is_refused_with_what_is_missing(tmp_path: Path) -> None:
    asked = CliRunner().invoke(application(), ["backup", "--data", str(tmp_path / "none")])
    assert asked.exit_code == 2
    assert "--to, --key" in asked.stderr


async def test_a_database_off_the_loopback_is_not_read_without_tls(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("secret")
    elsewhere = PostgresSettings(host="192.0.2.1", role="postgres", password_file=password)
    with pytest.raises(Refuse, match="ca_file"):
        await postgres_tools.connect(elsewhere)
    with pytest.raises(Refuse, match="ca_file"), postgres_tools.environment(elsewhere):
        pass
