"""`alerthub simulate` refuses what no city can be, by the option's name, before it looks for a hub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from alerthub.cli.main import application


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--scale", "0"),
        ("--scale", "1000"),
        ("--rate", "0"),
        ("--rate", "5000"),
        ("--duration", "1"),
        ("--speed", "60"),
        ("--begin", "noon"),
        ("--truth", "/no/such/folder/truth.jsonl"),
    ],
)
def test_an_absurd_figure_is_refused_by_its_option(option: str, value: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(application(), ["simulate", "--data", str(tmp_path), option, value, "--json"])
    assert result.exit_code == 2
    assert json.loads(result.stdout)["field"] == option


def test_more_observations_than_memory_holds_are_refused(tmp_path: Path) -> None:
    figures = ["--scale", "100", "--rate", "2000", "--duration", "86400"]
    result = CliRunner().invoke(application(), ["simulate", "--data", str(tmp_path), *figures, "--json"])
    assert json.loads(result.stdout)["field"] == "--duration"


def test_without_a_hub_it_says_how_to_start_one(tmp_path: Path) -> None:
    result = CliRunner().invoke(application(), ["simulate", "--data", str(tmp_path)])
    assert result.exit_code != 0
    assert "alerthub up" in result.output
