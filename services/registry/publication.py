"""What consumers are told of a resource: its own content and what the registry adds to it.

A device carries its authorisations and the hash of its secret, a unit its shifts and every jurisdiction that
it serves. So a change of one resource makes new versions of others, and those are found here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from alerthub import resource_wire as wire
from alerthub.api.v1 import registry_pb2
from alerthub.domain.resource_changes import Action, Change, Current
from alerthub.domain.resources import (
    AuthenticationClass,
    CheckAuthorisation,
    Device,
    Jurisdiction,
    Key,
    Kind,
    LifeStatus,
    Resource,
    Shift,
    Unit,
    above,
    below,
    key_of,
)
from services.registry import store
from services.registry.store import Publication

ENDED_SHIFT_KEPT_MS = 24 * 3_600_000
"""A shift that ended longer ago is left out of its unit's message, which would grow for ever."""

_SECRET_CLASSES = (AuthenticationClass.PASSWORD_OVER_TLS, AuthenticationClass.URL_TOKEN)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the messages of the affected resources are composed from, as it is once the changes are made."""

    authorisations: Mapping[str, Sequence[tuple[CheckAuthorisation, int, int]]]
    """By device: authorisations with version and active_from_ms."""
    secrets: Mapping[str, bytes]
    shifts: Mapping[str, Sequence[tuple[Shift, int, int]]]
    parents: Mapping[str, str]


def compose(
    resource: Resource, *, version: int, active_from_ms: int, around: Surroundings, now_ms: int
) -> Publication:
    """The publication of this version of a resource."""
    message = wire.to_wire(resource, version=version, active_from_ms=active_from_ms)
    match resource:
        case Device():
            _add_to_device(message.device, resource, around)
        case Unit():
            _add_to_unit(message.unit, resource, around, now_ms)
        case _:
            pass
    return Publication(resource, version, active_from_ms, message)


def _add_to_device(message: registry_pb2.Device, device: Device, around: Surroundings) -> None:
    if device.authentication_class in _SECRET_CLASSES:
        message.secret_sha256 = around.secrets.get(device.device_id, b"")
    for authorisation, version, active_from_ms in around.authorisations.get(device.device_id, ()):
        if authorisation.status is not LifeStatus.ACTIVE:
            continue
        # Each device carries its own id only: thirty thousand devices with thirty thousand ids would not fit.
        own = replace(authorisation, device_ids=(device.device_id,))
        embedded = wire.to_wire(own, version=version, active_from_ms=active_from_ms).authorisation
        message.authorisations.append(embedded)


def _add_to_unit(message: registry_pb2.Unit, unit: Unit, around: Surroundings, now_ms: int) -> None:
    message.serves_jurisdictions.extend(below(around.parents, unit.jurisdiction))
    for shift, version, active_from_ms in around.shifts.get(unit.unit_id, ()):
        if shift.status is LifeStatus.ACTIVE and shift.until_ms > now_ms - ENDED_SHIFT_KEPT_MS:
            message.shifts.append(wire.to_wire(shift, version=version, active_from_ms=active_from_ms).shift)


async def publications(
    connection: AsyncConnection,
    changes: Sequence[Change],
    before: Mapping[Key, Current],
    *,
    parents_before: Mapping[str, str],
    parents_after: Mapping[str, str],
    published: Callable[[Key], int],
    active_from_ms: int,
    now_ms: int,
) -> list[Publication]:
    """Every new version that the changes make: of what changed itself, then of what carries it.

    Called before the changes are saved. What carries a change and would be told the same is left alone.
    """
    changed = {change.key: change for change in changes if change.action is not Action.UNCHANGED}
    carriers = await _carriers(
        connection, list(changed.values()), before, parents_before=parents_before, parents_after=parents_after
    )
    current = await store.load_published(connection, carriers - changed.keys())
    around = await _surroundings(
        connection,
        carriers | changed.keys(),
        changed,
        parents=parents_after,
        active_from_ms=active_from_ms,
    )
    made = [
        compose(
            change.resource,
            version=change.version,
            active_from_ms=active_from_ms,
            around=around,
            now_ms=now_ms,
        )
        for change in changed.values()
    ]
    for known in current:
        same = compose(
            known.resource,
            version=known.version,
            active_from_ms=known.active_from_ms,
            around=around,
            now_ms=now_ms,
        )
        if same.message != known.message:
            made.append(
                compose(
                    known.resource,
                    version=_next(known, published),
                    active_from_ms=active_from_ms,
                    around=around,
                    now_ms=now_ms,
                )
            )
    return made


def _next(known: Publication, published: Callable[[Key], int]) -> int:
    return max(known.version, published(key_of(known.resource))) + 1


async def _carriers(
    connection: AsyncConnection,
    changes: Sequence[Change],
    before: Mapping[Key, Current],
    *,
    parents_before: Mapping[str, str],
    parents_after: Mapping[str, str],
) -> set[Key]:
    """The devices and units whose messages carry something of what changed, before or after."""
    carriers: set[Key] = set()
    jurisdictions: set[str] = set()
    for change in changes:
        known = before.get(change.key)
        for resource in (change.resource, known.resource if known else None):
            match resource:
                case CheckAuthorisation():
                    carriers.update(Key(Kind.DEVICE, device) for device in resource.device_ids)
                case Shift():
                    carriers.add(Key(Kind.UNIT, resource.unit_id))
                case Jurisdiction():
                    jurisdictions.update(above(parents_before, resource.jurisdiction_id))
                    jurisdictions.update(above(parents_after, resource.jurisdiction_id))
                case _:
                    pass
    if jurisdictions:
        keys = [Key(Kind.JURISDICTION, each) for each in jurisdictions]
        for units in (await store.users(connection, keys, Kind.UNIT)).values():
            carriers.update(units)
    return carriers


async def _surroundings(
    connection: AsyncConnection,
    carriers: Iterable[Key],
    changed: Mapping[Key, Change],
    *,
    parents: Mapping[str, str],
    active_from_ms: int,
) -> Surroundings:
    devices = [key for key in carriers if key.kind is Kind.DEVICE]
    units = [key for key in carriers if key.kind is Kind.UNIT]
    stored: set[Key] = set()
    for sources in (
        *(await store.users(connection, devices, Kind.AUTHORISATION)).values(),
        *(await store.users(connection, units, Kind.SHIFT)).values(),
    ):
        stored.update(sources)
    carried = [
        (known.resource, known.version, known.active_from_ms)
        for known in await store.load_published(connection, stored - changed.keys())
    ]
    carried += [(change.resource, change.version, active_from_ms) for change in changed.values()]
    authorisations: dict[str, list[tuple[CheckAuthorisation, int, int]]] = {}
    shifts: dict[str, list[tuple[Shift, int, int]]] = {}
    wanted = {key.id for key in devices}
    for resource, version, since in carried:
        match resource:
            case CheckAuthorisation():
                for device in wanted.intersection(resource.device_ids):
                    authorisations.setdefault(device, []).append((resource, version, since))
            case Shift():
                shifts.setdefault(resource.unit_id, []).append((resource, version, since))
            case _:
                pass
    return Surroundings(
        authorisations={
            device: sorted(found, key=lambda each: each[0].authorisation_id)
            for device, found in authorisations.items()
        },
        secrets=await store.secrets_of(connection, wanted),
        shifts={
            unit: sorted(found, key=lambda each: (each[0].from_ms, each[0].shift_id))
            for unit, found in shifts.items()
        },
        parents=parents,
    )


async def republication(
    connection: AsyncConnection,
    key: Key,
    *,
    published: Callable[[Key], int],
    active_from_ms: int,
    now_ms: int,
) -> list[Publication]:
    """The next version of one resource whose own content stays: what the registry adds to it has changed."""
    around = await _surroundings(
        connection,
        [key],
        {},
        parents=await store.jurisdiction_parents(connection),
        active_from_ms=active_from_ms,
    )
    return [
        compose(
            known.resource,
            version=_next(known, published),
            active_from_ms=active_from_ms,
            around=around,
            now_ms=now_ms,
        )
        for known in await store.load_published(connection, [key])
    ]
