"""Resources in PostgreSQL: the newest of each, every version, and who refers to whom."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ARRAY, Text, any_, bindparam, delete, func, insert, select, tuple_
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from alerthub import outbox
from alerthub import resource_wire as wire
from alerthub.api.v1 import registry_pb2
from alerthub.domain.errors import Refuse
from alerthub.domain.resource_changes import Current
from alerthub.domain.resources import (
    CheckAuthorisation,
    Device,
    Key,
    Kind,
    LifeStatus,
    Resource,
    Shift,
    key_of,
    references_of,
)
from services.registry import tables

TOPIC_OF = {Kind.DEVICE: "devices", Kind.ZONE: "zones", Kind.RULE: "rules", Kind.UNIT: "units"}
"""Where resources of a kind are published. The others travel inside these."""
_CHUNK = 2_000
"""Rows a statement: far below the 32,767 parameters that PostgreSQL takes."""


@dataclass(frozen=True, slots=True)
class Publication:
    """The newest version of a resource, and what consumers are told of it."""

    resource: Resource
    version: int
    active_from_ms: int
    message: registry_pb2.Resource


async def lock(connection: AsyncConnection) -> None:
    """Waits until no other transaction changes resources."""
    await connection.execute(select(func.pg_advisory_xact_lock(tables.RESOURCE_LOCK)))


def _chunks(keys: Iterable[Key]) -> Iterable[list[tuple[str, str]]]:
    pairs = sorted({(key.kind.value, key.id) for key in keys})
    return (pairs[start : start + _CHUNK] for start in range(0, len(pairs), _CHUNK))


def _domain(declared: bytes) -> Resource:
    return wire.from_wire(registry_pb2.Resource.FromString(declared), 0)


async def load(connection: AsyncConnection, keys: Iterable[Key]) -> dict[Key, Current]:
    """The newest version of those of the named resources that exist, removed ones too."""
    found: dict[Key, Current] = {}
    for chunk in _chunks(keys):
        columns = tables.resource.c
        rows = await connection.execute(
            select(columns.version, columns.declared).where(tuple_(columns.kind, columns.id).in_(chunk))
        )
        for version, declared in rows:
            resource = _domain(declared)
            found[key_of(resource)] = Current(version, resource)
    return found


async def load_published(connection: AsyncConnection, keys: Iterable[Key]) -> list[Publication]:
    """The newest version of each of the keys that exists, as consumers were told of it."""
    found: list[Publication] = []
    for chunk in _chunks(keys):
        columns = tables.resource.c
        rows = await connection.execute(
            select(columns.declared, columns.version, columns.active_from_ms, columns.published).where(
                tuple_(columns.kind, columns.id).in_(chunk)
            )
        )
        found += [
            Publication(
                _domain(row.declared),
                row.version,
                row.active_from_ms,
                registry_pb2.Resource.FromString(row.published),
            )
            for row in rows
        ]
    return found


async def existing(connection: AsyncConnection, keys: Iterable[Key]) -> set[Key]:
    """Those of the keys that name a resource which is not removed."""
    found: set[Key] = set()
    for chunk in _chunks(keys):
        columns = tables.resource.c
        rows = await connection.execute(
            select(columns.kind, columns.id).where(
                tuple_(columns.kind, columns.id).in_(chunk),
                columns.status != LifeStatus.REMOVED.value,
            )
        )
        found.update(Key(Kind(kind), id_) for kind, id_ in rows)
    return found


async def users(
    connection: AsyncConnection, keys: Iterable[Key], kind: Kind | None = None
) -> dict[Key, list[Key]]:
    """By target: which resources (of `kind`) refer to each of the keys, in order."""
    found: dict[Key, list[Key]] = {}
    columns = tables.resource_reference.c
    for chunk in _chunks(keys):
        query = select(columns.target_kind, columns.target_id, columns.source_kind, columns.source_id).where(
            tuple_(columns.target_kind, columns.target_id).in_(chunk)
        )
        if kind is not None:
            query = query.where(columns.source_kind == kind.value)
        for row in await connection.execute(query.order_by(columns.source_kind, columns.source_id)):
            target = Key(Kind(row.target_kind), row.target_id)
            found.setdefault(target, []).append(Key(Kind(row.source_kind), row.source_id))
    return found


async def jurisdiction_parents(connection: AsyncConnection) -> dict[str, str]:
    """Every jurisdiction that is not removed, with its parent; "" at the top."""
    resource, reference = tables.resource.c, tables.resource_reference.c
    rows = await connection.execute(
        select(resource.id, func.coalesce(reference.target_id, "").label("parent"))
        .select_from(
            tables.resource.outerjoin(
                tables.resource_reference,
                (reference.source_kind == resource.kind) & (reference.source_id == resource.id),
            )
        )
        .where(resource.kind == Kind.JURISDICTION.value, resource.status != LifeStatus.REMOVED.value)
    )
    return {row.id: row.parent for row in rows}


async def devices_in_districts(connection: AsyncConnection, districts: Iterable[str]) -> dict[str, set[str]]:
    """By district: the devices in it that are not removed."""
    found: dict[str, set[str]] = {district: set() for district in districts}
    columns = tables.resource.c
    rows = await connection.execute(
        select(columns.district, columns.id).where(
            columns.district.in_(list(found)), columns.status != LifeStatus.REMOVED.value
        )
    )
    for district, device in rows:
        found[district].add(device)
    return found


async def secrets_of(connection: AsyncConnection, device_ids: Iterable[str]) -> dict[str, bytes]:
    """SHA-256 of each device's secret, where one was issued."""
    wanted = list(device_ids)
    columns = tables.device_secret.c
    rows = await connection.execute(
        select(columns.device_id, columns.secret_sha256).where(
            columns.device_id == any_(bindparam("wanted", wanted, type_=ARRAY(Text)))
        )
    )
    return {row.device_id: row.secret_sha256 for row in rows}


async def secrets_shown_to(connection: AsyncConnection, actor: str, most: int) -> list[str]:
    """The devices whose secret of now this actor asked for, up to `most`."""
    columns = tables.device_secret.c
    rows = await connection.execute(
        select(columns.device_id).where(columns.issued_by == actor).order_by(columns.device_id).limit(most)
    )
    return [row.device_id for row in rows]


async def shifts_naming(connection: AsyncConnection, officer: str) -> list[Shift]:
    """The shifts that may have this officer: their messages have the name somewhere."""
    columns = tables.resource.c
    rows = await connection.execute(
        select(columns.declared).where(
            columns.kind == Kind.SHIFT.value,
            columns.status != LifeStatus.REMOVED.value,
            func.strpos(func.encode(columns.declared, "hex"), officer.encode().hex()) > 0,
        )
    )
    found = [_domain(row.declared) for row in rows]
    return [shift for shift in found if isinstance(shift, Shift)]


async def put_secret(
    connection: AsyncConnection, device_id: str, secret_sha256: bytes, *, actor: str, now_ms: int
) -> None:
    """Notes the hash of a device's new secret in the place of the old one."""
    values = {"secret_sha256": secret_sha256, "issued_at_ms": now_ms, "issued_by": actor}
    await connection.execute(
        upsert(tables.device_secret)
        .values(device_id=device_id, **values)
        .on_conflict_do_update(index_elements=["device_id"], set_=values)
    )


async def save(
    connection: AsyncConnection,
    publications: Sequence[Publication],
    *,
    declared: set[Key],
    actor: str,
    now_ms: int,
) -> None:
    """Writes the new versions, and sends those that have a topic through the outbox.

    `declared` are those whose own content changed; the others changed only in what the registry adds to them.
    Raises Refuse for a resource that is too large for its topic.
    """
    await write(connection, publications, declared=declared, actor=actor, now_ms=now_ms)
    messages = []
    for publication in publications:
        key = key_of(publication.resource)
        if key.kind not in TOPIC_OF:
            continue
        value = value_of(publication.message)
        if len(value) > outbox.MAXIMUM_VALUE_BYTES:
            expected = f"a {key.kind.value} of at most {outbox.MAXIMUM_VALUE_BYTES} bytes; {key.id} has more"
            raise Refuse("resources", expected)
        messages.append(outbox.Message(TOPIC_OF[key.kind], key.id, publication.version, value))
    await outbox.enqueue_all(connection, messages)


async def write(
    connection: AsyncConnection,
    publications: Sequence[Publication],
    *,
    declared: set[Key],
    actor: str,
    now_ms: int,
    whatever_exists: bool = False,
) -> None:
    """Writes the new versions and sends nothing: for `save`, and for what the topics have already (C19).

    With `whatever_exists` a reference to what does not exist is left out, else the database refuses it.
    """
    for start in range(0, len(publications), _CHUNK):
        chunk = publications[start : start + _CHUNK]
        rows = [_row(publication) for publication in chunk]
        statement = upsert(tables.resource)
        await connection.execute(
            statement.on_conflict_do_update(
                index_elements=["kind", "id"],
                set_={name: statement.excluded[name] for name in rows[0] if name not in ("kind", "id")},
            ),
            rows,
        )
        history = ("kind", "id", "version", "active_from_ms", "published")
        await connection.execute(
            insert(tables.resource_version),
            [
                {**{name: row[name] for name in history}, "changed_by": actor, "changed_at_ms": now_ms}
                for row in rows
            ],
        )
    changed = [each.resource for each in publications if key_of(each.resource) in declared]
    await _save_references(connection, changed, whatever_exists=whatever_exists)
    for resource in changed:
        if isinstance(resource, CheckAuthorisation):
            await _save_authorisation(connection, resource)


def value_of(message: registry_pb2.Resource) -> bytes:
    """The bytes of the one resource inside, as its topic carries it."""
    inner = getattr(message, message.WhichOneof("resource") or "")
    return bytes(inner.SerializeToString())


def _row(publication: Publication) -> dict[str, object]:
    resource = publication.resource
    key = key_of(resource)
    return {
        "kind": key.kind.value,
        "id": key.id,
        "version": publication.version,
        "status": resource.status.value,
        "active_from_ms": publication.active_from_ms,
        "district": resource.district if isinstance(resource, Device) else None,
        "topic": TOPIC_OF.get(key.kind),
        "declared": wire.to_wire(resource).SerializeToString(),
        "published": publication.message.SerializeToString(),
    }


async def _save_references(
    connection: AsyncConnection, resources: Sequence[Resource], *, whatever_exists: bool
) -> None:
    """Puts what the resources refer to in the place of what they referred to."""
    columns = tables.resource_reference.c
    for chunk in _chunks(key_of(resource) for resource in resources):
        await connection.execute(
            delete(tables.resource_reference).where(tuple_(columns.source_kind, columns.source_id).in_(chunk))
        )
    targets = {key_of(each): {found.target for found in references_of(each)} for each in resources}
    if whatever_exists:
        present = await existing(connection, set().union(*targets.values()))
        targets = {source: wanted & present for source, wanted in targets.items()}
    rows = []
    for source, wanted in targets.items():
        for target in wanted:
            rows.append(
                {
                    "source_kind": source.kind.value,
                    "source_id": source.id,
                    "target_kind": target.kind.value,
                    "target_id": target.id,
                }
            )
    if rows:
        await connection.execute(insert(tables.resource_reference), rows)


async def _save_authorisation(connection: AsyncConnection, authorisation: CheckAuthorisation) -> None:
    values = {
        "legal_basis": authorisation.legal_basis,
        "purpose": authorisation.purpose,
        "categories": list(authorisation.categories),
        "valid_from_ms": authorisation.valid_from_ms,
        "valid_until_ms": authorisation.valid_until_ms,
    }
    await connection.execute(
        upsert(tables.check_authorisation)
        .values(authorisation_id=authorisation.authorisation_id, **values)
        .on_conflict_do_update(index_elements=["authorisation_id"], set_=values)
    )


async def page(
    connection: AsyncConnection, kind: Kind | None, after: tuple[str, str], size: int
) -> list[registry_pb2.Resource]:
    """The next resources in order of kind and id, as published."""
    columns = tables.resource.c
    query = select(columns.published).where(tuple_(columns.kind, columns.id) > after)
    if kind is not None:
        query = query.where(columns.kind == kind.value)
    rows = await connection.execute(query.order_by(columns.kind, columns.id).limit(size))
    return [registry_pb2.Resource.FromString(published) for (published,) in rows]


# --- for the republisher


async def versions_on(connection: AsyncConnection, topic: str) -> dict[str, int]:
    """Every key of a topic of resources with its version."""
    columns = tables.resource.c
    rows = await connection.execute(select(columns.id, columns.version).where(columns.topic == topic))
    return {row.id: row.version for row in rows}


async def messages_on(connection: AsyncConnection, topic: str, keys: Sequence[str]) -> list[outbox.Message]:
    """The newest messages of these keys of a topic of resources."""
    columns = tables.resource.c
    rows = (
        await connection.execute(
            select(columns.id, columns.version, columns.published).where(
                columns.topic == topic, columns.id.in_(list(keys))
            )
        )
    ).all()
    return [
        outbox.Message(topic, row.id, row.version, value_of(registry_pb2.Resource.FromString(row.published)))
        for row in rows
    ]
