"""What an operator or officer is refused is said in Chinese too. No refusal is English alone unless somebody
said in `english_refusals.txt` why nobody at a desk or a terminal meets it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from alerthub.domain import denials, reasons

ROOT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_name("english_refusals.txt")
WORDS_AT = {
    "AlertHubError": 0,
    "Retry": 0,
    "TooOften": 0,
    "NotAuthenticatedError": 0,
    "Refuse": 1,
    "NotFound": 1,
    "NotAllowed": 1,
    "Conflict": 1,
    "WireError": 1,
    "problem": 1,
}
"""What makes a refusal, and which of its arguments says why."""
COMPOSERS = {
    name
    for module in (denials, reasons)
    for name, value in vars(module).items()
    if callable(value) and getattr(value, "__module__", "") == module.__name__
}


def is_in_both_languages(words: ast.expr) -> bool:
    """A sentence of the catalogues, the words of another error, or two texts side by side."""
    match words:
        case ast.Attribute(attr="value" | "words"):
            return True
        case ast.Call(func=ast.Name(id="LocalizedText"), args=[_, _]):
            return True
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(value=ast.Name(), attr=name)):
            return name in COMPOSERS
    return False


def english_refusals(source: str) -> set[str]:
    """The functions that refuse in English alone."""
    found: set[str] = set()

    def look(node: ast.AST, function: str) -> None:
        for child in ast.iter_child_nodes(node):
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            look(child, child.name if inside else function)  # type: ignore[attr-defined]
        if not isinstance(node, ast.Call):
            return
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        place = WORDS_AT.get(called)
        if place is None or len(node.args) <= place:
            return
        if not is_in_both_languages(node.args[place]):
            found.add(function)

    look(ast.parse(source), "")
    return found


def listed() -> dict[str, set[str]]:
    """By file or folder (with a slash at its end): the functions that may; none named: all."""
    found: dict[str, set[str]] = {}
    for line in LIST.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            path, *functions = line.split()
            found[path] = set(functions)
    return found


def sources() -> Iterator[str]:
    for package in ("alerthub", "services"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if "migrations" not in path.parts and "node_modules" not in path.parts:
                yield path.relative_to(ROOT).as_posix()


@cache
def refusing() -> dict[str, set[str]]:
    read = {path: english_refusals((ROOT / path).read_text(encoding="utf-8")) for path in sources()}
    return {path: functions for path, functions in read.items() if functions}


def test_no_refusal_is_english_alone_unless_somebody_said_that_nobody_meets_it() -> None:
    allowed = listed()
    folders = tuple(path for path in allowed if path.endswith("/"))

    missed = {
        path: functions - allowed[path] if path in allowed else functions
        for path, functions in refusing().items()
        if not path.startswith(folders) and allowed.get(path) != set()
    }

    assert {path: functions for path, functions in missed.items() if functions} == {}


def test_the_list_names_nothing_that_is_in_chinese_by_now() -> None:
    found = refusing()
    stale = {
        path: functions
        for path, functions in listed().items()
        if not (functions <= found.get(path, set()) and any(each.startswith(path) for each in found))
    }
    assert stale == {}


@pytest.mark.parametrize(
    "refusal",
    [
        'Conflict("alert_id", "an open alert")',
        'errors.Refuse("alert_id", f"an open alert, {version}")',
        "Retry(reason)",
        'NotFound("alert_id", LocalizedText(english="an alert"))',
    ],
)
def test_english_alone_is_found(refusal: str) -> None:
    assert english_refusals(f"def confirm():\n    raise {refusal}\n") == {"confirm"}


@pytest.mark.parametrize(
    "refusal",
    [
        'Conflict("alert_id", Denial.CONFIRMED.value)',
        'Conflict("alert_id", not_open(alert.status))',
        'NotAllowed("second_person_token", error.words)',
        "log.info('not_refused', reason='English')",
    ],
)
def test_both_languages_are_not(refusal: str) -> None:
    assert english_refusals(f"def confirm():\n    {refusal}\n") == set()
