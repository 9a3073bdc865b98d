"""`alerthub terminal` on the command line: what it refuses, in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from alerthub.cli import terminal


def run(*arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    terminal.register(app)
    app.callback()(lambda: None)
    result = CliRunner().invoke(app, ["terminal", *arguments])
    return result.exit_code, result.output


@pytest.fixture
def enrolled(tmp_path: Path) -> Path:
    folder = tmp_path / "terminal"
    folder.mkdir()
    for name, text in (
        ("terminal.id", "t1"),
        ("unit.id", "u1"),
        ("addresses.json", '{"registry":"","push":""}'),
    ):
        (folder / name).write_text(text)
    return folder


def test_running_needs_an_enrolled_terminal(tmp_path: Path) -> None:
    code, said = run("run", "--account", "li", "--folder", str(tmp_path), "--data", str(tmp_path))
    assert code == 2
    assert "enrolled terminal" in said
    assert "中没有登记的终端" in said


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--outcome", "perhaps", "found, misread"),
        ("--position", "north", "LATITUDE,LONGITUDE"),
        ("--position", "91,0", "a latitude from -90 to 90"),
    ],
)
def test_a_wrong_option_is_named_with_what_was_expected(
    enrolled: Path, option: str, value: str, expected: str
) -> None:
    code, said = run(
        "run",
        "--headless",
        "--account",
        "li",
        "--folder",
        str(enrolled),
        "--data",
        str(enrolled),
        option,
        value,
    )
    assert code == 2
    assert option in said
    assert expected in " ".join(said.split())


def test_enrolling_needs_to_know_the_hub(tmp_path: Path) -> None:
    code, said = run("enrol", "CODE", "--folder", str(tmp_path / "t"), "--data", str(tmp_path))
    assert code == 2
    assert "hub.json" in said
    assert not (tmp_path / "t").exists()
