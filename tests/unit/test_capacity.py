"""What a city needs: more of everything for more of a city, from rates that are named, and nothing absurd."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from typer.testing import CliRunner

from alerthub.cli.capacity import read_rates
from alerthub.cli.main import application
from alerthub.domain.capacity import Capacity, CityFigures, Measured, Policy, capacity
from alerthub.domain.errors import Refuse

RATES = read_rates(None).measured
REFERENCE = CityFigures()


def needed(figures: CityFigures = REFERENCE, *, rates: Measured = RATES, used: float = 0.5) -> Capacity:
    return capacity(figures, rates, Policy(used=used))


def amounts(found: Capacity) -> dict[str, float]:
    return {need.name: need.amount for need in found.needs}


def test_a_gateway_core_is_the_peak_over_its_rate_with_headroom() -> None:
    figures = replace(REFERENCE, pictured_share=0.25, streamed_share=0.5)
    rates = replace(RATES, pictured_per_second=500, http_per_second=1_000, streamed_per_second=10_000)
    # 500/s with a picture, 750 streamed, 750 by HTTP: 1 + 0.075 + 0.75 core seconds a second.
    assert needed(figures, rates=rates).of("gateway") == pytest.approx(1.825 / 0.5)


def test_kafka_holds_the_average_for_the_retention_with_its_last_segment_three_times() -> None:
    rates = replace(RATES, observation_bytes=1_000, record_bytes=0.001)
    wanted = 600 * 1_000 * 3_600 * 7 / 6 * 3
    assert needed(rates=rates).of("Kafka, observations") * 2**30 == pytest.approx(wanted, rel=1e-3)


def test_records_are_bounded_by_how_long_gateways_linger() -> None:
    # A tenth of the peak of a thousand cities would be more records than gateways and partitions can make.
    found = needed(replace(REFERENCE.times(50), streamed_share=1, pictured_share=0))
    gateways, partitions = found.of("gateway processes"), found.of("partitions")
    assert found.of("Kafka records") == min(100_000, gateways * partitions * 40) + gateways * partitions


def test_the_sum_of_cores_is_that_of_the_lines() -> None:
    found = needed()
    lines = [need.amount for need in found.needs if need.unit == "cores" and need.name != "cores"]
    assert found.of("cores") == pytest.approx(sum(lines))


@given(factor=st.integers(1, 99))
def test_more_cities_never_need_less(factor: int) -> None:
    one, many = amounts(needed(REFERENCE.times(factor))), amounts(needed(REFERENCE.times(factor + 1)))
    # At a step another number of partitions is better for all of them together.
    assume(one["partitions"] == many["partitions"])
    # Shared out over more processes: a few bytes less each.
    shared_out = {"memory of a gateway"}
    assert all(many[name] >= one[name] for name in one.keys() - shared_out)


@given(used=st.floats(0.1, 0.8))
def test_more_headroom_needs_more_cores(used: float) -> None:
    assert needed(used=used).of("cores") >= needed(used=used + 0.1).of("cores")


def test_partitions_are_a_power_of_two_and_enough_for_the_correlators() -> None:
    for factor in (1, 10, 100):
        found = needed(REFERENCE.times(factor))
        partitions = int(found.of("partitions"))
        assert partitions & (partitions - 1) == 0
        assert partitions >= found.of("correlator processes")
    assert needed().of("partitions") == 128
    assert needed().of("correlator processes") * 8 <= 128


def test_a_hub_whose_empty_records_outgrow_its_correlators_is_refused() -> None:
    with pytest.raises(Refuse, match="empty records"):
        needed(REFERENCE.times(99), used=0.1)


def test_every_line_says_how_it_comes_about() -> None:
    assert all(any(character.isdigit() for character in need.formula) for need in needed().needs if need.unit)
    assert all(need.formula for need in needed().needs)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cameras", 0),
        ("peak_per_second", 10),
        ("peak_per_second", 1e9),
        ("average_per_second", 0),
        ("entries", -1),
        ("terminals", -1),
        ("dwell_zones", -1),
        ("alerts_per_hour", -1),
        ("retention_minutes", 24 * 60 + 1),
        ("picture_bytes", 3_000_000),
        ("pictured_share", 1.5),
        ("streamed_share", -0.1),
    ],
)
def test_what_no_city_can_be_is_refused_by_its_name(field: str, value: float) -> None:
    with pytest.raises(Refuse) as refused:
        needed(replace(REFERENCE, **{field: value}))  # type: ignore[arg-type]
    assert refused.value.field == field


@pytest.mark.parametrize("field", [field.name for field in fields(Measured)])
def test_a_rate_that_is_none_is_refused_by_its_name(field: str) -> None:
    for value in (0, float("nan"), -1):
        with pytest.raises(Refuse) as refused:
            needed(rates=replace(RATES, **{field: value}))
        assert refused.value.field == field


def test_the_committed_rates_name_their_machine_and_how_each_was_seen() -> None:
    file = Path(__file__).resolve().parents[2] / "alerthub" / "cli" / "measured_rates.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    assert "cores" in content["machine"]
    assert set(content["rates"]) == {field.name for field in fields(Measured)}
    assert all(rate["unit"] and rate["command"] and rate["seen"] for rate in content["rates"].values())


def test_the_command_gives_a_table_its_formulas_and_json() -> None:
    run = CliRunner().invoke
    table = run(application(), ["capacity", "--times", "1,10", "--explain"], env={"COLUMNS": "120"})
    said = json.loads(run(application(), ["capacity", "--times", "10", "--json"]).stdout)
    assert table.exit_code == 0
    assert "10 of it" in table.stdout
    assert "partitions = 8 x" in table.stdout
    assert said["cities"][0]["times"] == 10
    assert said["machine"]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["--times", "0"], "--times"),
        (["--cameras", "0"], "cameras"),
        (["--headroom", "1"], "headroom"),
        (["--measured", "/no/such/file"], "--measured"),
    ],
)
def test_the_command_refuses_by_name(arguments: list[str], field: str) -> None:
    result = CliRunner().invoke(application(), ["capacity", *arguments, "--json"])
    assert result.exit_code == 2
    assert json.loads(result.stdout)["field"] == field


def test_rates_of_another_machine_are_taken_and_incomplete_ones_refused(tmp_path: Path) -> None:
    own = tmp_path / "rates.json"
    rates = {field.name: {"value": 2 * getattr(RATES, field.name)} for field in fields(Measured)}
    own.write_text(json.dumps({"machine": "ours", "rates": rates}), encoding="utf-8")
    assert read_rates(own).measured.http_per_second == 2 * RATES.http_per_second
    del rates["stay_bytes"]
    own.write_text(json.dumps({"machine": "ours", "rates": rates}), encoding="utf-8")
    with pytest.raises(Refuse) as refused:
        read_rates(own)
    assert refused.value.field == "rates.stay_bytes"
