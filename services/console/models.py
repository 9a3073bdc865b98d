"""What the page and the backend say to each other. `services/console/web/openapi.json` is made from here.

Times are milliseconds since 1970, places degrees of WGS 84. Nothing but `OpenedEvidence` and the picture
holds an identifier.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from services.console.vocabulary import (
    Action,
    AlertStatus,
    AssignmentStatus,
    AuthenticationClass,
    Direction,
    DispatchPolicy,
    LifeEventKind,
    Outcome,
    Role,
    RuleKind,
    Severity,
)


class Answer(BaseModel):
    """What the backend says. Every field is always there."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_serialization_defaults_required=True)


class Request(BaseModel):
    """What the page says. Nothing else is taken."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class FieldError(Answer):
    field: str
    expected: str
    expected_chinese: str = ""


class Problem(Answer):
    """Why something was refused (RFC 9457). No value is repeated."""

    type: str
    title: str
    status: int
    detail: str
    """In English, with the field's name."""
    detail_chinese: str = ""
    """For whoever reads Chinese; empty where the hub has only English, as of an earlier release's service."""
    errors: list[FieldError] = []


# Session


class SignIn(Request):
    account: Annotated[str, Field(min_length=1, max_length=64)]
    password: Annotated[str, Field(min_length=1, max_length=256)]


class SessionView(Answer):
    account: str
    roles: list[Role]
    expires_at_ms: int
    """The end, whatever is done."""
    idle_at_ms: int
    """The end, unless something is done before."""


# Values


class LocalizedText(Answer):
    chinese: str
    english: str


class Position(Answer):
    latitude: float
    longitude: float


# Alerts


class AlertSummary(Answer):
    """A line of the feed, without identifiers."""

    alert_id: str
    version: int
    status: AlertStatus
    open: bool
    severity: Severity
    policy: DispatchPolicy
    rule_id: str
    rule_kind: RuleKind
    category: str
    names_person: bool
    text: LocalizedText
    jurisdiction: str
    district: str
    opened_at_ms: int
    closed_at_ms: int | None
    sighting_count: int
    sightings_to_confirm: int
    """Sightings that need a confirmation of their own."""
    newest_read_ms: int | None
    """When the newest sighting was received."""
    device_id: str | None
    position: Position | None
    has_picture: bool
    supervisor_required: bool
    call_by_radio: bool
    unit_id: str | None
    """Who is asked or has it in hand."""
    assignment_status: AssignmentStatus | None
    outcome: Outcome | None


class OtherPlace(Answer):
    """Where else the plate was read, and why one vehicle cannot have been at both."""

    device_id: str
    position: Position
    corrected_time_ms: int
    clock_uncertainty_ms: int
    distance_metres: int
    speed_kmh: int
    """The least that it would have had to go."""
    maximum_speed_kmh: int
    """The rule's."""


class Sighting(Answer):
    """One read or event, and why it counts."""

    raised_id: str
    device_id: str
    position: Position | None
    direction: Direction | None
    lane: int | None
    device_time_ms: int
    """As the device said."""
    corrected_time_ms: int
    received_time_ms: int
    correlated_time_ms: int
    inserted_time_ms: int
    mask: str | None
    """How the identifier was compared; none: no identifier was."""
    read_confidence: float | None
    """0 to 1; none: the device said nothing."""
    clock_uncertainty_ms: int
    authentication_class: AuthenticationClass
    needs_confirmation: bool
    has_picture: bool
    picture_missing_reason: str
    picture_missing_reason_chinese: str
    other_place: OtherPlace | None
    """None: no rule for cloned plates fired."""


class Assignment(Answer):
    assignment_id: str
    unit_id: str
    status: AssignmentStatus
    live: bool
    offered_at_ms: int
    delivered_at_ms: int | None
    answered_at_ms: int | None
    reasons: list[str]
    reasons_chinese: list[str]
    """One for each, or none where an earlier release wrote them."""
    by_voice: bool
    officer: str


class ChecklistItem(Answer):
    """To be compared before confirming. `item` is what the confirmation names."""

    item: str
    text: LocalizedText


class LifeEvent(Answer):
    at_ms: int
    kind: LifeEventKind
    who: str
    detail: str
    detail_chinese: str
    """Empty where the detail is a name, or as somebody typed it."""


class AlertCard(Answer):
    """All that is known of an alert but its identifiers and its picture, which are opened on the record."""

    summary: AlertSummary
    rule_version: int
    entry_id: str | None
    entry_version: int | None
    unit_kind: str
    confirmed_by: str
    confirmed_at_ms: int | None
    rejected_reason: str
    cancelled_reason: str
    cancelled_reason_chinese: str
    escalated_reason: str
    """Why nobody was left to ask, when it was last so; empty: it never was, or an earlier release escalated
    it."""
    escalated_reason_chinese: str
    sightings: list[Sighting]
    """Newest first; at most 20."""
    assignments: list[Assignment]
    life: list[LifeEvent]
    """Oldest first."""
    checklist: list[ChecklistItem]
    actions: list[Action]
    evidence_missing_reason: str
    """Why there is nothing to open, or no picture; empty: there is."""
    evidence_missing_reason_chinese: str


class AlertPage(Answer):
    alerts: list[AlertSummary]
    """Newest first."""
    next_cursor: str | None


class SecondPerson(Request):
    """A supervisor who looks over the shoulder where one person has opened too much."""

    account: Annotated[str, Field(min_length=1, max_length=64)]
    password: Annotated[str, Field(min_length=1, max_length=256)]


Reason = Annotated[str, Field(min_length=3, max_length=500)]
CommandId = Annotated[
    str,
    Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"),
]
"""A UUID that the page makes once for each wish: a repeat changes nothing and gets the first answer."""
SeenVersion = Annotated[int, Field(ge=1, le=2**53)]
"""The version of the alert that the operator saw."""
Identifier = Annotated[str, Field(min_length=1, max_length=64)]


class OpenEvidence(Request):
    reason: Reason
    second_person: SecondPerson | None = None


class OpenedEvidence(Answer):
    """Identifying data. This look is on the record."""

    alert_id: str
    identifier: str
    make: str
    colour: str
    plate_colour: str
    case_number: str
    issuing_authority: str
    authority_contact: str
    instruction: LocalizedText
    has_picture: bool
    """The picture can be fetched once more for two minutes by this session."""
    picture_missing_reason: str
    picture_missing_reason_chinese: str


class ConfirmAlert(Request):
    version: SeenVersion
    checklist: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=32)]
    command_id: CommandId
    note: Annotated[str, Field(max_length=300)] = ""


class RejectAlert(Request):
    version: SeenVersion
    reason: Reason
    command_id: CommandId


class DispatchUnit(Request):
    version: SeenVersion
    unit_id: Identifier
    command_id: CommandId


class AcknowledgeByVoice(Request):
    assignment_id: Identifier
    spoken_with: Annotated[str, Field(min_length=1, max_length=100)]
    command_id: CommandId


class UnitCandidate(Answer):
    """A unit that may be sent, and why in this place of the order."""

    unit_id: str
    distance_metres: float | None
    position_age_ms: int | None
    """None: it counts as being at its station."""
    alerts_in_hand: int
    alerts_this_shift: int
    reachable: bool
    """A terminal of it is connected; otherwise: call by radio."""
    asked_before: bool
    reasons: list[str]
    reasons_chinese: list[str]
    """One for each."""


class UnitCandidates(Answer):
    alert_id: str
    candidates: list[UnitCandidate]
    """Best first."""


# Feed


class WatchState(Answer):
    """Whether what devices send is evaluated now."""

    watching: bool
    silent_districts: list[str]
    """Districts whose observations are not being evaluated; at most 100."""
    silent_district_count: int
    silent_gateways: list[str]
    """Gateways that were heard within the hour and are not now."""
    reason: str
    """Why not, where no district can be named; empty while watching."""
    reason_chinese: str


class FeedSnapshot(Answer):
    """Event `snapshot`: all open alerts. It replaces what the page shows as open."""

    alerts: list[AlertSummary]


class FeedAlert(Answer):
    """Event `alert`: one alert as it is now. A page takes only a version higher than the one that it has."""

    alert: AlertSummary
    because: str
    occurred_at_ms: int


class FeedHeartbeat(Answer):
    """Event `heartbeat`."""

    server_time_ms: int
    watch: WatchState
    session_ends_at_ms: int
    """When the session ends unless something is done before."""


class FeedEnd(Answer):
    """Event `end`: the stream ends. `signed_out`: signing in comes first; otherwise resume."""

    reason: str
    signed_out: bool


FEED_EVENTS: dict[str, type[Answer]] = {
    "snapshot": FeedSnapshot,
    "alert": FeedAlert,
    "heartbeat": FeedHeartbeat,
    "end": FeedEnd,
}
"""By the name of the event. OpenAPI knows the data of an event as a string only, so they are published as
components."""
