"""The objectives of the design, and their rules: how fast each spends what it may miss.

An objective is "99 of 100 within a threshold". Its budget is the hundredth. A burn rate of 1 spends the
budget of any window exactly; alerts look at a long window, so that one slow event is no alert, and at a short
one, so that an alert ends soon after its cause (method and rates: Google's SRE workbook, chapter 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

BUDGET = 0.01


@dataclass(frozen=True, slots=True)
class Objective:
    """`histogram` has an edge at `threshold_seconds`."""

    name: str
    alert: str
    histogram: str
    threshold_seconds: float
    sentence: str


@dataclass(frozen=True, slots=True)
class Burn:
    """Tells once both windows burn faster than `rate`."""

    long: str
    short: str
    rate: float
    severity: str


OBJECTIVES = (
    Objective(
        "read_to_alert",
        "ReadToAlertSlow",
        "alerthub_dispatch_received_to_opened_seconds",
        1.0,
        "From a gateway's receipt of a read to the alert: 99 of 100 within 1 s",
    ),
    Objective(
        "confirm_to_receipt",
        "ReceiptSlow",
        "alerthub_dispatch_confirmed_to_received_seconds",
        2.0,
        "From the confirmation to a connected terminal's receipt: 99 of 100 within 2 s",
    ),
    Objective(
        "withdrawal_to_no_match",
        "WithdrawalSlow",
        "alerthub_correlator_withdrawn_to_unmatched_seconds",
        2.0,
        "From a withdrawal to the end of matching: 99 of 100 within 2 s",
    ),
)

BURNS = (
    Burn("1h", "5m", 14.4, "page"),
    Burn("6h", "30m", 6.0, "page"),
    Burn("1d", "2h", 3.0, "ticket"),
    Burn("3d", "6h", 1.0, "ticket"),
)
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
LEAST_SLOW = 3
"""At night there are a few alerts an hour: one slow one of five is a fifth, and no reason to wake anybody."""


def ratio(objective: Objective, window: str) -> str:
    """The name of the recorded share of slow events, as a query."""
    return f'alerthub:objective_slow:ratio_rate{window}{{objective="{objective.name}"}}'


def _slow(objective: Objective, function: str, window: str) -> str:
    """How many, or how many a second, were slower than the threshold."""
    name, edge = objective.histogram, objective.threshold_seconds
    everything = f"sum({function}({name}_count[{window}]))"
    return f'({everything} - sum({function}({name}_bucket{{le="{edge}"}}[{window}])))'


def _recorded(objective: Objective) -> list[dict[str, Any]]:
    ratios = [
        {
            "record": f"alerthub:objective_slow:ratio_rate{window}",
            "expr": f"{_slow(objective, 'rate', window)} / "
            f"(sum(rate({objective.histogram}_count[{window}])) > 0)",
            "labels": {"objective": objective.name},
        }
        for window in WINDOWS
    ]
    counts = [
        {
            "record": f"alerthub:objective_slow:increase{burn.long}",
            "expr": _slow(objective, "increase", burn.long),
            "labels": {"objective": objective.name},
        }
        for burn in BURNS
    ]
    return ratios + counts


def _burning(objective: Objective, burn: Burn) -> str:
    limit = f"{burn.rate * BUDGET:g}"
    few = f'alerthub:objective_slow:increase{burn.long}{{objective="{objective.name}"}} >= {LEAST_SLOW}'
    return f"({ratio(objective, burn.long)} > {limit} and {ratio(objective, burn.short)} > {limit} and {few})"


def _alert(objective: Objective, severity: str) -> dict[str, Any]:
    return {
        "alert": objective.alert,
        "expr": " or ".join(_burning(objective, burn) for burn in BURNS if burn.severity == severity),
        "labels": {"severity": severity},
        "annotations": {
            "summary": f"{objective.sentence}; {{{{ $value | humanizePercentage }}}} are slower",
            "runbook": f"docs/runbooks/{objective.alert}.md",
        },
    }


def rules() -> dict[str, Any]:
    """A file of rules for Prometheus."""
    return {
        "groups": [
            {
                "name": f"objective_{objective.name}",
                "rules": [*_recorded(objective), _alert(objective, "page"), _alert(objective, "ticket")],
            }
            for objective in OBJECTIVES
        ]
    }
