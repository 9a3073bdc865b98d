"""The self-test's small city: one district, one camera, one unit on shift. Everything is invented."""

from __future__ import annotations

import secrets
import uuid

from alerthub.api.v1.common_pb2 import (
    AUTHENTICATION_CLASS_PASSWORD_OVER_TLS,
    DISPATCH_POLICY_SEND_AT_ONCE,
    IDENTIFIER_KIND_PLATE,
    SEVERITY_MAJOR,
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
from alerthub.api.v1.watchlist_pb2 import AddEntryRequest, Category, EntryIdentifier, NewEntry

CAMERA = "selftest-camera"
UNIT = "selftest-unit"
TERMINAL = "selftest-terminal"
CATEGORY = "wanted_person_vehicle"
_JURISDICTION = "selftest-city"
_PLACE = Position(latitude=39.5186, longitude=116.7036)


def resources(*, category: Category, officer: str, now_ms: int) -> list[Resource]:
    """What is applied to the registry. Authorisation and shift hold from an hour ago for 23 hours."""
    from_ms, until_ms = now_ms - 3_600_000, now_ms + 22 * 3_600_000
    return [
        Resource(
            jurisdiction=Jurisdiction(
                jurisdiction_id=_JURISDICTION, name=LocalizedText(chinese="自检市", english="Self-test city")
            )
        ),
        Resource(
            device=Device(
                device_id=CAMERA,
                name="self-test camera",
                adapter="hikvision-anpr",
                position=_PLACE,
                district="selftest-district",
                jurisdiction=_JURISDICTION,
                authentication_class=AUTHENTICATION_CLASS_PASSWORD_OVER_TLS,
            )
        ),
        Resource(
            authorisation=CheckAuthorisation(
                authorisation_id="selftest-authorisation",
                device_ids=[CAMERA],
                legal_basis="self-test",
                purpose="self-test of the hub",
                categories=[category.category],
                valid_from_ms=from_ms,
                valid_until_ms=until_ms,
            )
        ),
        Resource(
            rule=Rule(
                rule_id="selftest-hit",
                name=LocalizedText(chinese="自检布控", english="Self-test hit"),
                kind=RULE_KIND_WATCHLIST_HIT,
                severity=SEVERITY_MAJOR,
                unit_kind=category.unit_kind,
                policy=DISPATCH_POLICY_SEND_AT_ONCE,
                officer_text=LocalizedText(chinese="自检：发现布控车辆", english="Self-test: listed vehicle"),
                watchlist_hit=WatchlistHitParameters(masks=["exact"]),
            )
        ),
        Resource(
            unit=Unit(
                unit_id=UNIT,
                name=LocalizedText(chinese="自检巡组", english="Self-test unit"),
                unit_kind=category.unit_kind,
                jurisdiction=_JURISDICTION,
                station=_PLACE,
                radio_call_sign="T1",
            )
        ),
        Resource(
            shift=Shift(
                shift_id="selftest-shift",
                unit_id=UNIT,
                from_ms=from_ms,
                until_ms=until_ms,
                officers=[officer],
            )
        ),
    ]


def random_plate() -> str:
    """A plate of a form that exists (province, letter, five characters), different each time."""
    return "冀R" + "".join(secrets.choice("ABCDEFGHJKLMNPQRSTUVWXYZ0123456789") for _ in range(4)) + "9"


def entry(plate: str, *, now_ms: int) -> AddEntryRequest:
    """An entry that lists `plate` for an hour."""
    return AddEntryRequest(
        command_id=str(uuid.uuid4()),
        entry=NewEntry(
            category=CATEGORY,
            identifiers=[EntryIdentifier(kind=IDENTIFIER_KIND_PLATE, text=plate, masks=["exact"])],
            case_number="SELFTEST-1",
            legal_basis="self-test",
            issuing_authority="self-test desk",
            authority_contact="110",
            instruction=LocalizedText(chinese="自检，无需处置", english="Self-test: nothing to do"),
            valid_until_ms=now_ms + 3_600_000,
        ),
    )
