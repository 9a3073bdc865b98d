"""`docs/logs.md` names every field of every event: somebody has looked at each (S5)."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
_NAME = re.compile(r"[a-z]+(_[a-z]+)*")
_SAYS_WHAT_IT_IS_TOLD = {"waiting_event"}
"""An argument that callers name an event with."""


@cache
def _calls() -> list[tuple[Path, ast.Call]]:
    """Each place where a service logs."""
    found = []
    for package in ("alerthub", "services"):
        for path in sorted((ROOT / package).rglob("*.py")):
            source = path.read_text(encoding="utf-8")
            if "log." not in source:
                continue
            for node in ast.walk(ast.parse(source)):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and isinstance(node.func.value, ast.Name)
                    and node.func.value.id == "log"
                    and node.func.attr in _LEVELS
                ):
                    found.append((path, node))
    return found


def _documented() -> set[str]:
    text = (ROOT / "docs" / "logs.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| (`[^|]*`) \|", text, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_every_event_has_a_name_and_no_sentence_that_could_hold_anything() -> None:
    assert len(_calls()) > 80
    odd = []
    for path, call in _calls():
        said = call.args[0]
        literal = isinstance(said, ast.Constant) and _NAME.fullmatch(str(said.value))
        told = isinstance(said, ast.Name) and said.id in _SAYS_WHAT_IT_IS_TOLD
        spread = any(keyword.arg is None for keyword in call.keywords)
        if len(call.args) != 1 or spread or not (literal or told):
            odd.append(f"{path.name}:{call.lineno}")
    assert odd == []


def test_the_document_names_every_field_that_is_logged_and_no_other() -> None:
    # given every field that is written out, and what structlog adds to each event
    used = {keyword.arg for _, call in _calls() for keyword in call.keywords if keyword.arg}
    always = {"event", "level", "logger", "timestamp", "service", "instance", "error_type", "error_at"}

    # then the tables name these (the traceback becomes type and place)
    assert sorted((used - {"exc_info"}) | always) == sorted(_documented())
