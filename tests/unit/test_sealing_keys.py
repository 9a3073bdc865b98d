"""The key provider: keys end when promised, are readable by their owner only, and never come back."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from alerthub.keys import EPOCH_LIFE_CAP_MS, RETENTION_CAP_MS, FileKeyProvider, KeyUnavailableError
from alerthub.sealing import CannotOpenError, DataKeyring, Opener

HOUR = 3_600_000


@pytest.fixture
def keys(tmp_path: Path) -> FileKeyProvider:
    return FileKeyProvider(tmp_path / "keys")


def every_byte(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_an_epoch_has_one_key_for_all_instances(keys: FileKeyProvider, tmp_path: Path) -> None:
    keys.create_epoch("e1", now_ms=0, destroy_at_ms=HOUR)
    other_instance = FileKeyProvider(tmp_path / "keys")
    assert keys.epoch_key("e1", now_ms=1) == other_instance.epoch_key("e1", now_ms=1)


def test_an_epoch_that_would_outlive_a_day_is_refused(keys: FileKeyProvider) -> None:
    keys.create_epoch("e1", now_ms=5, destroy_at_ms=5 + EPOCH_LIFE_CAP_MS)
    with pytest.raises(ValueError, match="24 h"):
        keys.create_epoch("e2", now_ms=5, destroy_at_ms=6 + EPOCH_LIFE_CAP_MS)


def test_an_epoch_cannot_be_made_twice(keys: FileKeyProvider) -> None:
    keys.create_epoch("e1", now_ms=0, destroy_at_ms=HOUR)
    with pytest.raises(ValueError, match="exists"):
        keys.create_epoch("e1", now_ms=0, destroy_at_ms=HOUR)


def test_a_key_whose_time_has_come_is_not_given_even_before_the_job_ran(keys: FileKeyProvider) -> None:
    keys.create_epoch("e1", now_ms=0, destroy_at_ms=HOUR)
    with pytest.raises(KeyUnavailableError):
        keys.epoch_key("e1", now_ms=HOUR)


def test_the_job_destroys_what_is_due_and_leaves_no_byte_of_it(keys: FileKeyProvider, tmp_path: Path) -> None:
    keys.create_epoch("e1", now_ms=0, destroy_at_ms=HOUR)
    keys.create_epoch("e2", now_ms=0, destroy_at_ms=2 * HOUR)
    before = every_byte(tmp_path)
    assert keys.destroy_due(now_ms=HOUR) == ["e1"]
    assert keys.inventory().epochs == ("e2",)
    assert len(every_byte(tmp_path)) < len(before)
    with pytest.raises(KeyUnavailableError):
        keys.epoch_key("e1", now_ms=1)


def test_what_was_sealed_cannot_be_opened_once_its_hour_was_destroyed(keys: FileKeyProvider) -> None:
    recipient = keys.create_recipient(now_ms=0, valid_until_ms=HOUR, destroy_at_ms=2 * HOUR)
    sealed = DataKeyring(recipient).seal(b"text", b"a", now_ms=0)

    def open_at(now_ms: int) -> bytes:
        opener = Opener(lambda key_id: keys.private_key(key_id, now_ms=now_ms))
        return opener.open(sealed.sealed, sealed.key, b"a")

    assert open_at(2 * HOUR - 1) == b"text"
    keys.destroy_due(now_ms=2 * HOUR)
    with pytest.raises(CannotOpenError):
        open_at(0)


def test_a_private_key_that_would_outlive_the_longest_retention_is_refused(keys: FileKeyProvider) -> None:
    with pytest.raises(ValueError, match="24 h"):
        keys.create_recipient(now_ms=0, valid_until_ms=HOUR, destroy_at_ms=HOUR + RETENTION_CAP_MS + 1)


def test_recipients_come_newest_last(keys: FileKeyProvider) -> None:
    second = keys.create_recipient(now_ms=0, valid_until_ms=2 * HOUR, destroy_at_ms=3 * HOUR)
    first = keys.create_recipient(now_ms=0, valid_until_ms=HOUR, destroy_at_ms=2 * HOUR)
    assert keys.recipients(now_ms=0) == [first, second]


def test_only_the_owner_can_read_keys(keys: FileKeyProvider, tmp_path: Path) -> None:
    keys.create_epoch("e1", now_ms=0, destroy_at_ms=HOUR)
    keys.entry_key()
    for path in (tmp_path / "keys").rglob("*"):
        expected = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
        assert stat.S_IMODE(path.stat().st_mode) == expected


def test_long_lived_keys_stay_and_differ(keys: FileKeyProvider, tmp_path: Path) -> None:
    again = FileKeyProvider(tmp_path / "keys")
    assert keys.entry_key() == again.entry_key()
    assert keys.alert_key() == again.alert_key()
    assert keys.entry_key() != keys.alert_key()
    assert keys.destroy_due(now_ms=10**15) == []


@pytest.mark.parametrize("name", ["../long-lived/entry", "", "a/b", "a.b", "x" * 64])
def test_a_name_from_the_wire_cannot_leave_its_folder(keys: FileKeyProvider, name: str) -> None:
    keys.entry_key()
    with pytest.raises(KeyUnavailableError):
        keys.private_key(name, now_ms=0)


def test_a_damaged_key_is_named_and_not_shown(keys: FileKeyProvider, tmp_path: Path) -> None:
    keys.create_epoch("e1", now_ms=0, destroy_at_ms=HOUR)
    (tmp_path / "keys" / "epochs" / "e1.key").write_bytes(b'{"secret": "canary"}')
    with pytest.raises(KeyUnavailableError, match="e1") as error:
        keys.epoch_key("e1", now_ms=0)
    assert "canary" not in str(error.value)
