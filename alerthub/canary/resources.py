"""What is registered for the canary: devices that no street has, and a unit that no patrol is."""

from __future__ import annotations

from alerthub.api.v1.common_pb2 import (
    AUTHENTICATION_CLASS_CERTIFICATE,
    DISPATCH_POLICY_SEND_AT_ONCE,
    SEVERITY_INFORMATION,
    LocalizedText,
    Position,
)
from alerthub.api.v1.registry_pb2 import (
    RULE_KIND_WATCHLIST_HIT,
    CheckAuthorisation,
    Device,
    Jurisdiction,
    Resource,
    Rule,
    Shift,
    Unit,
    WatchlistHitParameters,
)
from alerthub.canary.set_up import EDGE, UNIT
from alerthub.domain.canary import CATEGORY, JURISDICTION, UNIT_KIND

DAY_MS = 24 * 3_600_000
DEVICES = 8
"""In a district each, so that the reads go to several correlators in turn."""
_NOWHERE = Position(latitude=0.0, longitude=0.0)
"""In the Gulf of Guinea: nobody's map shows it by accident."""
_NAME = LocalizedText(chinese="金丝雀", english="Canary")
_TEXT = LocalizedText(chinese="系统自检，无需处置", english="The hub's own: nothing to do")


def device_ids() -> tuple[str, ...]:
    """The devices that read the canary's plates, behind its edge server."""
    return tuple(f"{JURISDICTION}-{number}" for number in range(1, DEVICES + 1))


def resources(*, now_ms: int, days: int, account: str) -> list[Resource]:
    """Everything, in the order in which one may refer to another: from today (UTC) for `days`."""
    from_ms = now_ms // DAY_MS * DAY_MS
    return [
        Resource(jurisdiction=Jurisdiction(jurisdiction_id=JURISDICTION, name=_NAME)),
        *(Resource(device=_device(device_id)) for device_id in device_ids()),
        Resource(device=_device(EDGE, speaks_for=device_ids())),
        Resource(
            authorisation=CheckAuthorisation(
                authorisation_id=f"{JURISDICTION}-authorisation",
                device_ids=device_ids(),
                legal_basis="operation of the hub",
                purpose="the hub's own reads, of plates that no vehicle has",
                categories=[CATEGORY],
                valid_from_ms=from_ms,
                valid_until_ms=from_ms + days * DAY_MS,
            )
        ),
        Resource(
            rule=Rule(
                rule_id=f"{JURISDICTION}-hit",
                name=_NAME,
                kind=RULE_KIND_WATCHLIST_HIT,
                device_ids=device_ids(),
                severity=SEVERITY_INFORMATION,
                unit_kind=UNIT_KIND,
                policy=DISPATCH_POLICY_SEND_AT_ONCE,
                officer_text=_TEXT,
                watchlist_hit=WatchlistHitParameters(masks=["exact"]),
            )
        ),
        Resource(
            unit=Unit(
                unit_id=UNIT,
                name=_NAME,
                unit_kind=UNIT_KIND,
                jurisdiction=JURISDICTION,
                station=_NOWHERE,
                radio_call_sign="CANARY",
            )
        ),
        *(Resource(shift=_shift(from_ms + day * DAY_MS, account)) for day in range(days + 1)),
    ]


def _device(device_id: str, *, speaks_for: tuple[str, ...] = ()) -> Device:
    return Device(
        device_id=device_id,
        name="Canary",
        adapter="grpc",
        position=_NOWHERE,
        district=device_id,
        jurisdiction=JURISDICTION,
        authentication_class=AUTHENTICATION_CLASS_CERTIFICATE,
        speaks_for=speaks_for,
    )


def _shift(from_ms: int, account: str) -> Shift:
    return Shift(
        shift_id=f"{JURISDICTION}-{from_ms // DAY_MS}",
        unit_id=UNIT,
        from_ms=from_ms,
        until_ms=from_ms + DAY_MS,
        officers=[account],
    )
