"""What a run came to: a table for people, an object for machines, and the truth as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from alerthub.simulator.cast import Listed
from alerthub.simulator.run import Finished
from alerthub.simulator.scenario import Figures
from alerthub.simulator.truth import RuleKind
from alerthub.simulator.verdict import Difference

_SHOWN = 12


def truth_lines(finished: Finished, cast: Sequence[Listed]) -> Iterator[str]:
    """A line for each thing that looked like an alert: what must become of it, and why."""
    entry_of = {number: entry_id for entry_id, number in finished.entries.items()}
    for key, expected in finished.truth.expected.items():
        line: dict[str, Any] = {
            "rule_kind": key.rule_kind.value,
            "subject": key.subject,
            "must": expected.must.value,
            "why": expected.why,
            "sightings": expected.counted,
            "perhaps": expected.perhaps,
            "devices": expected.devices,
        }
        if key.rule_kind is RuleKind.LISTED:
            number = int(key.subject.removeprefix("entry "))
            line |= {"entry_id": entry_of[number], "plate": cast[number].plate}
        yield json.dumps(line, ensure_ascii=False)


def as_object(finished: Finished, figures: Figures) -> dict[str, Any]:
    """Everything but the truth's lines."""
    verdict = finished.verdict
    return {
        "ok": verdict.perfect and not finished.refused,
        "interrupted": finished.interrupted,
        "figures": asdict(figures),
        "observations": {
            "acknowledged": finished.acknowledged,
            "answers": finished.answers,
            "refused": finished.refused,
        },
        "rules": {
            score.rule_kind.value: {
                "expected": score.expected,
                "right": score.right,
                "undecided": score.undecided,
                "precision": score.precision,
                "recall": score.recall,
                "missed": [asdict(each) for each in score.missed],
                "surplus": [asdict(each) for each in score.surplus],
            }
            for score in verdict.scores
        },
        "rightly_silent": verdict.silenced,
        "miscounted": [asdict(each) for each in verdict.miscounted],
        "alerts_of_others": finished.others,
        "other_rules": list(finished.other_rules),
    }


def as_table(finished: Finished) -> RenderableType:
    """For people."""
    verdict = finished.verdict
    table = Table(title="Interrupted run" if finished.interrupted else None)
    table.add_column("rule kind", no_wrap=True)
    for name in ("must", "right", "missed", "surplus", "either", "precision", "recall"):
        table.add_column(name, justify="right", no_wrap=True, min_width=len(name))
    for score in verdict.scores:
        table.add_row(
            score.rule_kind.value,
            *(str(each) for each in (score.expected, score.right, len(score.missed), len(score.surplus))),
            str(score.undecided),
            f"{score.precision:.3f}",
            f"{score.recall:.3f}",
        )
    repeats = finished.answers - finished.acknowledged
    lines = [
        f"{finished.acknowledged} observations acknowledged, {repeats} of them twice",
        f"{verdict.silenced} things that look like alerts and must not be ones were none",
    ]
    for name, differences in (
        ("missed", [each for score in verdict.scores for each in score.missed]),
        ("surplus", [each for score in verdict.scores for each in score.surplus]),
        ("sightings", list(verdict.miscounted)),
    ):
        lines += _told(name, differences)
    lines += [f"refused {count} times, expected was {what}" for what, count in finished.refused.items()]
    if finished.other_rules:
        lines.append(f"surplus may come from the hub's own rules: {', '.join(finished.other_rules)}")
    if finished.others:
        lines.append(f"{finished.others} alerts of entries or devices that are not of this run")
    return Group(table, *lines)


def _told(name: str, differences: Sequence[Difference]) -> list[str]:
    lines = [f"{name}: {each.key or each.alert_id[:12]}: {each.reason}" for each in differences[:_SHOWN]]
    if len(differences) > _SHOWN:
        lines.append(f"{name}: {len(differences) - _SHOWN} more, in the report")
    return lines
