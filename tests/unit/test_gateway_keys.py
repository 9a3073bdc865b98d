"""The gateway blinds only with what watchlist has named in force a moment ago (C12)."""

from __future__ import annotations

from pathlib import Path

import pytest
from gateway_parts import START_MS, configuration, gateway

from alerthub.domain.errors import Retry


async def test_it_reports_what_it_blinds_with(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    await one.keys.synchronise()
    assert [report.matching_version for report in one.watchlist.reports] == [0, 1]


async def test_it_reports_what_it_has_prepared_and_goes_on_with_the_old(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    one.watchlist.answer.next.CopyFrom(configuration(2))
    await one.keys.synchronise()
    await one.keys.synchronise()
    assert (one.watchlist.reports[-1].matching_version, one.watchlist.reports[-1].prepared_version) == (1, 2)
    assert one.keys.in_force(one.clock()).version == 1


async def test_it_blinds_with_the_new_once_it_is_in_force(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    one.watchlist.answer.in_force.CopyFrom(configuration(2))
    await one.keys.synchronise()
    assert (one.keys.in_force(one.clock()).version, one.keys.in_force(one.clock()).epoch) == (2, "epoch-2")


async def test_it_is_not_ready_without_a_recent_answer(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    one.clock.ms += 10_000
    assert one.keys.not_ready_because() is None
    one.clock.ms += 1
    assert one.keys.not_ready_because() is not None


async def test_it_is_not_ready_after_the_epochs_end(tmp_path: Path) -> None:
    one = await gateway(tmp_path, keys=False)
    one.watchlist.answer.in_force.CopyFrom(configuration(1, ends_at_ms=START_MS + 500))
    await one.keys.synchronise()
    one.clock.ms += 500
    with pytest.raises(Retry, match="epoch has ended"):
        one.keys.in_force(one.clock())


async def test_it_is_not_ready_without_a_sealing_key(tmp_path: Path) -> None:
    one = await gateway(tmp_path, keys=False)
    one.watchlist.answer.ClearField("recipient")
    await one.keys.synchronise()
    assert one.keys.not_ready_because() == "no sealing key of watchlist is valid"


async def test_it_is_not_ready_when_watchlist_takes_the_configuration_back(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    one.watchlist.answer.ClearField("in_force")
    await one.keys.synchronise()
    with pytest.raises(Retry):
        one.keys.in_force(one.clock())


async def test_a_key_that_cannot_be_used_is_an_error_and_the_old_one_ages(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    one.watchlist.answer.in_force.CopyFrom(configuration(2))
    one.watchlist.answer.in_force.epoch_key = b"short"
    with pytest.raises(ValueError, match="32 bytes"):
        await one.keys.synchronise()
    assert one.keys.in_force(one.clock()).version == 1


async def test_no_key_is_in_any_representation(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    assert bytes([1]) * 32 == one.keys.in_force(one.clock()).id_key
    assert repr(bytes([1]) * 32) not in repr(one.keys.in_force(one.clock()))
