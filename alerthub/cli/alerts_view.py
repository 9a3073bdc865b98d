"""How `alerthub alerts` shows alerts: tables and lines for people, JSON for machines."""

from __future__ import annotations

import json
import time
from typing import Any

import typer
from google.protobuf.json_format import MessageToDict
from rich.console import Console
from rich.table import Table

from alerthub.api.v1 import alert_pb2, common_pb2


def print_alerts(alerts: list[alert_pb2.Alert]) -> None:
    """A table, one alert a row."""
    table = Table("alert", "status", "severity", "category or rule", "sightings", "unit", "opened")
    for alert in alerts:
        table.add_row(
            alert.alert_id,
            status_name(alert.status) + (" (supervisor)" if alert.supervisor_required else ""),
            common_pb2.Severity.Name(alert.severity).removeprefix("SEVERITY_").lower(),
            (alert.category or alert.rule_id) + (" (person)" if alert.names_person else ""),
            str(alert.sighting_count),
            _unit(alert),
            _time(alert.opened_at_ms),
        )
    Console().print(table)


def status_name(status: alert_pb2.AlertStatus.ValueType) -> str:
    """Such as "awaiting confirmation"."""
    return alert_pb2.AlertStatus.Name(status).removeprefix("ALERT_STATUS_").lower().replace("_", " ")


def _unit(alert: alert_pb2.Alert) -> str:
    if not alert.assignments:
        return ""
    newest = alert.assignments[-1]
    state = alert_pb2.AssignmentStatus.Name(newest.status).removeprefix("ASSIGNMENT_STATUS_").lower()
    return f"{newest.unit_id} ({state})" + (", call by radio" if alert.call_by_radio else "")


def _time(time_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time_ms / 1_000)) if time_ms else ""


def in_both(chinese: str, english: str) -> str:
    """Whoever reads it, in their language; what has one language alone as it is."""
    return " / ".join(part for part in (chinese, english) if part)


def as_json_object(alert: alert_pb2.Alert) -> dict[str, Any]:
    return MessageToDict(alert, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def print_json(value: dict[str, Any]) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False))


def print_changed(alert: alert_pb2.Alert, *, as_json: bool) -> None:
    if as_json:
        print_json({"ok": True, "alert": as_json_object(alert)})
        return
    unit = _unit(alert)
    typer.echo(f"{alert.alert_id} is {status_name(alert.status)}" + (f", {unit}" if unit else ""))


def print_event(event: alert_pb2.AlertEvent, *, as_json: bool) -> None:
    alert = event.alert
    kind = (
        alert_pb2.AlertEventKind.Name(event.kind).removeprefix("ALERT_EVENT_KIND_").lower().replace("_", " ")
    )
    if as_json:
        print_json(
            {
                "kind": kind,
                "actor": event.actor,
                "reason": event.reason,
                "reason_chinese": event.reason_chinese,
                "occurred_at_ms": event.occurred_at_ms,
                "alert": as_json_object(alert),
            }
        )
        return
    what = (alert.category or alert.rule_id) + (" (person)" if alert.names_person else "")
    line = f"{_time(event.occurred_at_ms or alert.opened_at_ms)}  {alert.alert_id}  "
    line += "open" if kind == "unspecified" else kind
    line += f"  {status_name(alert.status)}  {what}"
    if _unit(alert):
        line += f"  {_unit(alert)}"
    if event.reason:
        line += f"  {in_both(event.reason_chinese, event.reason)}"
    typer.echo(line)


def print_alert(found: alert_pb2.GetAlertResponse) -> None:
    alert = found.alert
    table = Table(show_header=False)
    rows = {
        "alert": f"{alert.alert_id}, version {alert.version}",
        "status": status_name(alert.status),
        "why": (alert.category or alert.rule_id) + (", names a person" if alert.names_person else ""),
        "instruction": in_both(alert.officer_text.chinese, alert.officer_text.english),
        "confirmed by": alert.confirmed_by,
        "a supervisor must confirm": "its rule, source or device is suspended"
        if alert.supervisor_required
        else "",
        "rejected": alert.rejected_reason,
        "cancelled": in_both(alert.cancelled_reason_chinese, alert.cancelled_reason),
        "nobody left to ask": in_both(alert.escalated_reason_chinese, alert.escalated_reason),
        "outcome": alert_pb2.Outcome.Name(alert.outcome).removeprefix("OUTCOME_").lower()
        if alert.outcome
        else "",
        "evidence": "sealed: see it with `alerthub alerts open`" if found.sealed_details else "",
        "no evidence": in_both(found.sealed_missing_reason_chinese, found.sealed_missing_reason),
    }
    for name, value in rows.items():
        if value:
            table.add_row(name, value)
    for sighting in alert.sightings:
        missing = in_both(sighting.picture_missing_reason_chinese, sighting.picture_missing_reason)
        picture = "picture" if sighting.has_picture else missing
        waits = ", waits for its own confirmation" if sighting.needs_confirmation else ""
        table.add_row("seen", f"{_time(sighting.received_time_ms)} at {sighting.device_id}, {picture}{waits}")
    for assignment in alert.assignments:
        state = alert_pb2.AssignmentStatus.Name(assignment.status).removeprefix("ASSIGNMENT_STATUS_").lower()
        why = in_both("；".join(filter(None, assignment.reasons_chinese)), "; ".join(assignment.reasons))
        table.add_row(f"unit {assignment.unit_id}", f"{state}: {why}")
    Console().print(table)
