"""What a person, or a machine, is shown of an import: how it was read, what is wrong, what would change."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from alerthub.cli.context import EXIT_REFUSED
from alerthub.cli.csv_table import UTF_8, Problems, Table
from alerthub.domain.bulk_changes import BulkPlan
from alerthub.domain.datum import Datum
from alerthub.domain.resource_changes import Action, Change

SHOWN_LINES = 200
"""Of the difference, unless every line is asked for: a new city has twenty thousand."""
_QUIET_SECONDS = 2.0
"""What takes longer tells how far it is."""
_SIGNS = {Action.CREATE: ("+", "green"), Action.UPDATE: ("~", "yellow")}


def show_problems(problems: Problems, *, as_json: bool) -> int:
    """Everything that is wrong; returns the exit code."""
    if as_json:
        told = [
            {"line": each.line, "column": each.column, "found": each.found, "expected": each.expected}
            for each in problems.told
        ]
        answer = {"ok": False, "problem_count": problems.count, "problems": told}
        typer.echo(json.dumps(answer, ensure_ascii=False))
        return EXIT_REFUSED
    for each in sorted(problems.told, key=lambda problem: problem.line):
        typer.echo(str(each), err=True)
    more = problems.count - len(problems.told)
    if more:
        typer.echo(f"… and {more:,} more", err=True)
    typer.echo(f"alerthub: {problems.count:,} problems. Nothing was changed.", err=True)
    return EXIT_REFUSED


class ImportView:
    """One import's output."""

    def __init__(self, what: str, *, as_json: bool, every_line: bool) -> None:
        self._what = what
        self._as_json = as_json
        self._every_line = every_line
        self._console = Console(highlight=False, soft_wrap=True)
        self._datum: Datum | None = None
        self._told_at = time.monotonic()

    def show_reading(self, table: Table, datum: Datum | None) -> None:
        """What was assumed of the file."""
        self._datum = datum
        if self._as_json:
            return
        if table.encoding != UTF_8:
            self._console.print(f"Read as {table.encoding.upper()}: the file is not UTF-8.")
        if datum is Datum.GCJ_02:
            self._console.print("Positions are converted from GCJ-02 to WGS 84.")

    def show_plan(self, bulk: BulkPlan) -> None:
        """Counts first, then lines."""
        if self._as_json:
            return
        gone = f", {len(bulk.gone):,} gone" if bulk.gone else ""
        counts = (
            f"{bulk.count(Action.CREATE):,} to add, {bulk.count(Action.UPDATE):,} to change{gone}, "
            f"{bulk.count(Action.UNCHANGED):,} as they are."
        )
        self._console.print(Text(f"{self._what}: {counts}", style="bold"))
        changing = bulk.changing
        shown = changing if self._every_line else changing[:SHOWN_LINES]
        removed = {change.key for change in bulk.gone}
        for change in shown:
            self._show(change, gone=change.key in removed)
        if len(shown) < len(changing):
            self._console.print(f"… and {len(changing) - len(shown):,} more; --all shows them.")

    def _show(self, change: Change, *, gone: bool) -> None:
        sign, style = ("-", "red") if gone else _SIGNS[change.action]
        line = Text(f"{sign} {change.key.kind.value} {change.key.id}", style=style)
        line.append(f"  version {change.version}", style="dim")
        self._console.print(line)
        if change.action is Action.UPDATE and not gone:
            for each in change.differences:
                before, after = each.before or "nothing", each.after or "nothing"
                self._console.print(Text(f"    {each.field}: {before} → {after}"))

    def show_progress(self, done: int, whole: int) -> None:
        """How far it is, when there is somebody to wait for it."""
        now = time.monotonic()
        if not self._as_json and (done == whole or now - self._told_at >= _QUIET_SECONDS):
            self._told_at = now
            typer.echo(f"{done:,} of {whole:,} applied", err=True)

    def show_cut_off(self, done: int, whole: int) -> None:
        """Said before the reason is."""
        if not self._as_json:
            text = f"{done:,} of {whole:,} are applied. Run the same command again for the rest."
            typer.echo(text, err=True)

    def end(self, bulk: BulkPlan, *, applied: bool) -> int:
        """The last word; returns the exit code."""
        if self._as_json:
            typer.echo(json.dumps(self._answer(bulk, applied=applied), ensure_ascii=False))
        return 0

    def _answer(self, bulk: BulkPlan, *, applied: bool) -> dict[str, Any]:
        return {
            "ok": True,
            "applied": applied,
            "converted_from": self._datum.value if self._datum is Datum.GCJ_02 else "",
            "added": bulk.count(Action.CREATE),
            "changed": bulk.count(Action.UPDATE),
            "unchanged": bulk.count(Action.UNCHANGED),
            "gone": len(bulk.gone),
            "changes": _changes(bulk.changing),
        }


def _changes(changes: Sequence[Change]) -> list[dict[str, Any]]:
    return [
        {
            "action": change.action.value,
            "kind": change.key.kind.value,
            "id": change.key.id,
            "version": change.version,
            "differences": [
                {"field": each.field, "before": each.before, "after": each.after}
                for each in change.differences
            ],
        }
        for change in changes
    ]
