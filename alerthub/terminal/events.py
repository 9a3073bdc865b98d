"""What the terminal tells whoever uses it, and each as one line of JSON for machines."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum

from alerthub.api.v1.alert_pb2 import AlertEventKind, AlertStatus, AssignmentStatus
from alerthub.api.v1.common_pb2 import Severity
from alerthub.api.v1.patrol_pb2 import CommandAnswer
from alerthub.terminal.screen_state import ScreenChange, assignment_status


class Link(Enum):
    """The terminal's connection to the hub."""

    CONNECTED = "connected"
    """Signed on; what is shown is confirmed once the first complete state has arrived."""
    CONFIRMED = "confirmed"
    UNCONFIRMED = "unconfirmed"
    """The hub was not heard for ten seconds: what is shown may have been withdrawn (refusal 7)."""
    DISCONNECTED = "disconnected"
    SIGNED_OFF = "signed_off"
    """The hub ended the session, such as after a revocation."""
    REFUSED = "refused"
    """The hub does not take this certificate, account or password."""


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """The connection is now in state `link`. Only a reason of the hub's has Chinese."""

    link: Link
    reason: str = ""
    unit_id: str = ""
    officer: str = ""
    reason_chinese: str = ""


@dataclass(frozen=True, slots=True)
class ScreenChanged:
    """An alert came, changed, or left the screen; `read_age_ms` is the newest read's age when it was sent."""

    change: ScreenChange


@dataclass(frozen=True, slots=True)
class CommandAnswered:
    """The hub answered a command of the outbox. `kind` is its name in the protocol, such as `receipt`."""

    kind: str
    command_id: str
    alert_id: str
    result: CommandAnswer.Result.ValueType
    detail: str
    detail_chinese: str = ""


TerminalEvent = LinkChanged | ScreenChanged | CommandAnswered


def as_json_line(event: TerminalEvent, *, time_ms: int) -> str:
    """`event` as one line of JSON: what a screen shows, identifying data included, and so not a log."""
    values: dict[str, object]
    match event:
        case LinkChanged():
            values = {
                "event": event.link.value,
                "reason": event.reason,
                "unit_id": event.unit_id,
                "officer": event.officer,
            }
        case CommandAnswered():
            values = {
                "event": "command_answered",
                "command": event.kind,
                "command_id": event.command_id,
                "alert_id": event.alert_id,
                "result": CommandAnswer.Result.Name(event.result).removeprefix("RESULT_").lower(),
                "detail": event.detail,
            }
        case ScreenChanged():
            values = _of_change(event.change)
    return json.dumps({"time_ms": time_ms, **values}, ensure_ascii=False, separators=(",", ":"))


def _of_change(change: ScreenChange) -> dict[str, object]:
    push, alert = change.push, change.push.alert
    values: dict[str, object] = {
        "event": change.kind.value,
        "alert_id": alert.alert_id,
        "version": alert.version,
        "status": AlertStatus.Name(alert.status).removeprefix("ALERT_STATUS_").lower(),
        "because": AlertEventKind.Name(push.because).removeprefix("ALERT_EVENT_KIND_").lower(),
        "assignment_id": push.assignment_id,
        "assignment_status": AssignmentStatus.Name(assignment_status(push))
        .removeprefix("ASSIGNMENT_STATUS_")
        .lower(),
        "severity": Severity.Name(alert.severity).removeprefix("SEVERITY_").lower(),
        "rule_id": alert.rule_id,
        "category": alert.category,
        "entry_id": alert.entry_id,
        "sighting_count": alert.sighting_count,
        "text": {"zh": alert.officer_text.chinese, "en": alert.officer_text.english},
        "read_age_ms": push.read_age_ms,
        "picture_bytes": len(push.picture),
    }
    if change.removal is not None:
        values["removal"] = change.removal.value
        values["explanation"] = change.explanation.english
    if push.HasField("details"):
        details = push.details
        values["details"] = {
            "identifier": details.identifier,
            "make": details.make,
            "colour": details.colour,
            "case_number": details.case_number,
            "authority_contact": details.authority_contact,
            "instruction": {"zh": details.instruction.chinese, "en": details.instruction.english},
        }
    else:
        values["details_missing_reason"] = push.details_missing_reason
    return values
