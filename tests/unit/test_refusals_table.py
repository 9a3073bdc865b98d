"""`docs/refusals.md` is true to the tree: every file, function, constraint and test that it names exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "refusals.md"
MUST_HAVE = [*(str(number) for number in range(1, 10)), *(f"S{number}" for number in range(1, 7))]
MUST_HAVE += ["C1", "C2", "C3", "C4", "C6", "C9", "C13", "C16"]
_SPAN = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    line: str
    refused: str
    enforced: tuple[str, ...]
    tests: tuple[str, ...]


def _rows() -> Iterator[Row]:
    for text in DOCUMENT.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in text.strip().strip("|").split(" | ")]
        if not text.startswith("| ") or cells[0] in {"line", "---"} or set(cells[0]) == {"-"}:
            continue
        assert len(cells) == 4, f"four cells a row: {text}"
        line, refused, enforced, tests = cells
        yield Row(line, refused, tuple(_SPAN.findall(enforced)), tuple(_SPAN.findall(tests)))


ROWS = list(_rows())


@cache
def _defined(path: Path) -> frozenset[str]:
    """Functions, classes, their members and module constants of a Python file, with dots between."""

    def names(body: list[ast.stmt], prefix: str) -> Iterator[str]:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield prefix + node.name
                if isinstance(node, ast.ClassDef):
                    yield from names(node.body, f"{prefix}{node.name}.")
            targets = node.targets if isinstance(node, ast.Assign) else []
            targets += [node.target] if isinstance(node, ast.AnnAssign) else []
            yield from (prefix + target.id for target in targets if isinstance(target, ast.Name))

    return frozenset(names(ast.parse(path.read_text(encoding="utf-8")).body, ""))


def _exists(span: str) -> bool:
    """`PATH::NAME`: NAME is defined in the Python file, or is a constraint, trigger or index of its SQL, or a
    word of any other file."""
    name_of_file, separator, name = span.partition("::")
    path = ROOT / name_of_file
    if not separator or not path.is_file():
        return False
    if path.suffix == ".py" and name in _defined(path):
        return True
    if path.suffix == ".py" and "migrations" not in path.parts and path.name != "audit_tables.py":
        return False
    return re.search(rf"\b{re.escape(name)}\b", path.read_text(encoding="utf-8")) is not None


def test_every_refusal_has_a_row() -> None:
    present = {row.line.split(".")[0].split("-")[0] for row in ROWS}
    assert [line for line in MUST_HAVE if line not in present] == []


def test_every_row_says_where_it_is_enforced_and_what_fails_without_it() -> None:
    assert [row.refused for row in ROWS if not (row.refused and row.enforced and row.tests)] == []


@pytest.mark.parametrize("span", sorted({span for row in ROWS for span in row.enforced}))
def test_what_enforces_a_refusal_exists(span: str) -> None:
    assert _exists(span)


@pytest.mark.parametrize("span", sorted({span for row in ROWS for span in row.tests}))
def test_the_test_that_fails_without_it_exists(span: str) -> None:
    path, _, name = span.partition("::")
    assert path.startswith("tests/")
    assert name.rsplit(".", 1)[-1].rsplit("::", 1)[-1].startswith("test_")
    assert (ROOT / path).is_file()
    assert name.replace("::", ".") in _defined(ROOT / path)


@pytest.mark.parametrize(
    "span",
    [
        "services/push/cards.py::card_for_nobody",
        "services/push/no_such_file.py::card_for",
        "services/push/cards.py",
        "services/dispatch/migrations/versions/version_0001.py::no_such_constraint",
    ],
)
def test_what_does_not_exist_is_found(span: str) -> None:
    assert not _exists(span)
