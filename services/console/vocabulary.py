"""The words of the API's enumerations, as the page and the backend say them."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """See `alerthub/api/v1/access.proto`."""

    OPERATOR = "operator"
    SUPERVISOR = "supervisor"
    WATCHLIST_EDITOR = "watchlist_editor"
    WATCHLIST_APPROVER = "watchlist_approver"
    REGISTRY_EDITOR = "registry_editor"
    AUDITOR = "auditor"
    OFFICER = "officer"
    RELIABILITY_ENGINEER = "reliability_engineer"


class AlertStatus(StrEnum):
    AWAITING_CONFIRMATION = "awaiting_confirmation"
    DISPATCHING = "dispatching"
    ACCEPTED = "accepted"
    ESCALATED = "escalated"
    CLOSED = "closed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


class Severity(StrEnum):
    INFORMATION = "information"
    MINOR = "minor"
    MAJOR = "major"
    CRITICAL = "critical"


class RuleKind(StrEnum):
    WATCHLIST_HIT = "watchlist_hit"
    DWELL = "dwell"
    DIRECT_CALL = "direct_call"
    CLONED_PLATE = "cloned_plate"
    OTHER = "other"


class DispatchPolicy(StrEnum):
    CONFIRM_FIRST = "confirm_first"
    SEND_AT_ONCE = "send_at_once"


class AuthenticationClass(StrEnum):
    """How a device proved who it is, strongest first."""

    CERTIFICATE = "certificate"
    PASSWORD_OVER_TLS = "password_over_tls"  # noqa: S105 - a class of devices, no password
    URL_TOKEN = "url_token"  # noqa: S105
    NETWORK_ONLY = "network_only"
    UNKNOWN = "unknown"


class AssignmentStatus(StrEnum):
    OFFERED = "offered"
    DELIVERED = "delivered"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    TIMED_OUT = "timed_out"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"


class Outcome(StrEnum):
    FOUND = "found"
    MISREAD = "misread"
    ENTRY_WRONG = "entry_wrong"
    NOT_FOUND = "not_found"
    OTHER = "other"


class Direction(StrEnum):
    APPROACHING = "approaching"
    DEPARTING = "departing"


class Action(StrEnum):
    """What this person may do with the alert as it is now."""

    OPEN = "open"
    CONFIRM = "confirm"
    REJECT = "reject"
    DISPATCH = "dispatch"
    ACKNOWLEDGE_BY_VOICE = "acknowledge_by_voice"


class LifeEventKind(StrEnum):
    OPENED = "opened"
    SIGHTING = "sighting"
    CONFIRMED = "confirmed"
    UNIT_ASSIGNED = "unit_assigned"
    DELIVERED = "delivered"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    TIMED_OUT = "timed_out"
    SUPERSEDED = "superseded"
    ESCALATED = "escalated"
    CLOSED = "closed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
