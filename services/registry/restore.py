"""A database that was restored is older than its topics: what they know newer is taken over (C19).

This happens before the registry lets anybody in, so nobody signs in whom the topic knows as revoked, and no
device gets an authorisation back that had ended. What is on no topic (accounts, jurisdictions) is as the
backup has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alerthub import audit, restored
from alerthub import resource_wire as wire
from alerthub.api.v1 import registry_pb2
from alerthub.domain.resources import CheckAuthorisation, Key, Kind, LifeStatus, Resource, Shift, key_of
from alerthub.postgres import transaction
from alerthub.replica import CompactedReplica, VersionedTable, read_to_end
from alerthub.settings import KafkaSettings
from alerthub.telemetry import logger
from services.registry import account_store, store
from services.registry.publication import ENDED_SHIFT_KEPT_MS
from services.registry.store import TOPIC_OF, Publication
from services.registry.topic_versions import REVOCATIONS

log = logger(__name__)

ACTOR = "service:registry"
_REASON = "known from the topic after a restore"
_WIRE: Mapping[Kind, Any] = {
    Kind.ZONE: registry_pb2.Zone,
    Kind.DEVICE: registry_pb2.Device,
    Kind.UNIT: registry_pb2.Unit,
    Kind.RULE: registry_pb2.Rule,
}


@dataclass(frozen=True, slots=True)
class Published:
    """What the registry's topics hold at its start: the newest messages by kind and id, and revocations."""

    resources: Mapping[Kind, Mapping[str, Any]]
    revocations: Mapping[str, registry_pb2.Revocation]


async def read_published(settings: KafkaSettings, *, client_id: str) -> Published:
    """Reads the topics to their ends. Waits for a broker that is starting."""
    tables: dict[Kind, VersionedTable[Any]] = {
        kind: VersionedTable(_versioned(message)) for kind, message in _WIRE.items()
    }
    revocations: VersionedTable[Any] = VersionedTable(_versioned(registry_pb2.Revocation))
    replicas = [
        CompactedReplica(settings, topic, client_id=client_id, apply=table.apply)
        for topic, table in (
            *((TOPIC_OF[kind], table) for kind, table in tables.items()),
            (REVOCATIONS, revocations),
        )
    ]
    await read_to_end(replicas)
    return Published(
        resources={kind: dict(table.items()) for kind, table in tables.items()},
        revocations=dict(revocations.items()),
    )


def _versioned(message: Any) -> Any:
    def decode(value: bytes) -> tuple[int, Any]:
        decoded = message.FromString(value)
        return int(decoded.version), decoded

    return decode


async def take_over(engine: AsyncEngine, published: Published, *, now_ms: int) -> int:
    """Brings the database to what the topics know newer, in one transaction; returns how much that was."""
    async with transaction(engine) as connection:
        await store.lock(connection)
        awaited = await restored.pending(connection)
        newer = {
            kind: await _newer(connection, kind, messages) for kind, messages in published.resources.items()
        }
        words = await _take_over_revocations(connection, published.revocations, now_ms=now_ms)
        resources = [message for messages in newer.values() for message in messages]
        if resources:
            await _take_over_resources(connection, newer, now_ms=now_ms)
        found = f"{len(resources)} resources and {words} revocations were newer on the topics"
        if resources or words:
            log.error("database_was_restored", resources=len(resources), revocations=words)
            await audit.record(
                connection, action="RestoredStateFound", actor=ACTOR, subject=ACTOR, detail=found
            )
        if awaited is not None:
            await restored.note_applied(connection, awaited, actor=ACTOR, detail=found)
    return len(resources) + words


async def _newer(connection: AsyncConnection, kind: Kind, messages: Mapping[str, Any]) -> list[Any]:
    versions = await store.versions_on(connection, TOPIC_OF[kind])
    return [message for id_, message in messages.items() if message.version > versions.get(id_, 0)]


async def _take_over_revocations(
    connection: AsyncConnection, words: Mapping[str, registry_pb2.Revocation], *, now_ms: int
) -> int:
    versions = await account_store.revocation_versions(connection)
    newer = [told for subject, told in words.items() if told.version > versions.get(subject, 0)]
    for told in newer:
        await account_store.take_over_revocation(connection, told, reason=_REASON, actor=ACTOR)
        kind, _, name = told.subject.partition(":")
        if kind == "account" and not told.reinstated:
            await account_store.mark_revoked(connection, name, now_ms)
            # They ended with the access; the backup has them waiting.
            await account_store.end_proposals(connection, name, now_ms)
        # Roles and passwords are on no topic: of who returned or changed since, a person has to look.
        action = "ChangedSinceBackup" if told.reinstated else "Revoked"
        await audit.record(connection, action=action, actor=ACTOR, subject=told.subject, reason=_REASON)
    return len(newer)


async def _take_over_resources(
    connection: AsyncConnection, newer: Mapping[Kind, Sequence[Any]], *, now_ms: int
) -> None:
    told = [_publication(message) for messages in newer.values() for message in messages]
    carried = await _authorisations(connection, newer[Kind.DEVICE])
    carried += await _shifts(connection, newer[Kind.UNIT], now_ms=now_ms)
    every = [*told, *carried]
    await store.write(
        connection,
        every,
        declared={key_of(each.resource) for each in every},
        actor=ACTOR,
        now_ms=now_ms,
        whatever_exists=True,
    )
    secrets = await store.secrets_of(connection, [device.device_id for device in newer[Kind.DEVICE]])
    for device in newer[Kind.DEVICE]:
        if device.secret_sha256 and secrets.get(device.device_id) != device.secret_sha256:
            await store.put_secret(
                connection, device.device_id, device.secret_sha256, actor=ACTOR, now_ms=now_ms
            )


def _publication(message: Any) -> Publication:
    kind = next(kind for kind, of in _WIRE.items() if isinstance(message, of))
    resource = registry_pb2.Resource(**{kind.value: message})
    return Publication(wire.from_published(resource), message.version, message.active_from_ms, resource)


def _composed(resource: Resource, *, version: int, active_from_ms: int) -> Publication:
    message = wire.to_wire(resource, version=version, active_from_ms=active_from_ms)
    return Publication(resource, version, active_from_ms, message)


async def _authorisations(connection: AsyncConnection, devices: Sequence[Any]) -> list[Publication]:
    """The authorisations as these devices carry them: those that they carry no more end for them."""
    by_device = {
        device.device_id: {each.authorisation_id: each for each in device.authorisations}
        for device in devices
    }
    held = await store.users(
        connection, [Key(Kind.DEVICE, device) for device in by_device], Kind.AUTHORISATION
    )
    ids = {id_ for carried in by_device.values() for id_ in carried}
    ids |= {key.id for keys in held.values() for key in keys}
    known = {
        each.resource.authorisation_id: each
        for each in await store.load_published(connection, [Key(Kind.AUTHORISATION, id_) for id_ in ids])
        if isinstance(each.resource, CheckAuthorisation)
    }
    found = []
    for id_ in sorted(ids):
        wires = [carried[id_] for carried in by_device.values() if id_ in carried]
        newest = max(wires, key=lambda each: int(each.version), default=None)
        before = known.get(id_)
        made = _authorisation(before, newest, {name: id_ in each for name, each in by_device.items()})
        if before is None or made.resource != before.resource:
            found.append(made)
    return found


def _authorisation(before: Publication | None, newest: Any, holds: Mapping[str, bool]) -> Publication:
    """`newest` is how a device carries it; `holds` says of each device that was taken over whether it
    does."""
    version = before.version if before else 0
    active_from_ms = before.active_from_ms if before else 0
    content = before.resource if before else None
    devices = set(content.device_ids) if isinstance(content, CheckAuthorisation) else set()
    if newest is not None and newest.version > version:
        content = wire.from_published(registry_pb2.Resource(authorisation=newest))
        active_from_ms = newest.active_from_ms
    if not isinstance(content, CheckAuthorisation):
        raise TypeError("an authorisation is known, or carried by a device")
    holding = (devices - holds.keys()) | {name for name, held in holds.items() if held}
    ended = not holding
    resource = replace(
        content,
        status=LifeStatus.REMOVED if ended else content.status,
        # Who held it stays on record.
        device_ids=tuple(sorted(devices if ended else holding)),
    )
    return _composed(
        resource,
        version=max(version + 1, int(newest.version) if newest is not None else 0),
        active_from_ms=active_from_ms,
    )


async def _shifts(connection: AsyncConnection, units: Sequence[Any], *, now_ms: int) -> list[Publication]:
    """The shifts as these units carry them: those of now and later that they carry no more are removed."""
    carried = {shift.shift_id: shift for unit in units for shift in unit.shifts}
    held = await store.users(connection, [Key(Kind.UNIT, unit.unit_id) for unit in units], Kind.SHIFT)
    ids = carried.keys() | {key.id for keys in held.values() for key in keys}
    known = {
        each.resource.shift_id: each
        for each in await store.load_published(connection, [Key(Kind.SHIFT, id_) for id_ in ids])
        if isinstance(each.resource, Shift)
    }
    found = []
    for id_ in sorted(ids):
        wire_shift, before = carried.get(id_), known.get(id_)
        if wire_shift is not None:
            if before is None or wire_shift.version > before.version:
                resource = wire.from_published(registry_pb2.Resource(shift=wire_shift))
                found.append(
                    _composed(resource, version=wire_shift.version, active_from_ms=wire_shift.active_from_ms)
                )
        elif before is not None and isinstance(before.resource, Shift):
            current = before.resource.until_ms > now_ms - ENDED_SHIFT_KEPT_MS
            if before.resource.status is LifeStatus.ACTIVE and current:
                ended = replace(before.resource, status=LifeStatus.REMOVED)
                found.append(_composed(ended, version=before.version + 1, active_from_ms=now_ms))
    return found
