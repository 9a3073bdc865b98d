"""Use cases on resources: plan, apply, list. Load, decide in `alerthub.domain`, save."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alerthub import audit
from alerthub import resource_wire as wire
from alerthub.api.v1 import registry_pb2
from alerthub.domain import resource_checks as checks
from alerthub.domain.errors import Conflict, Refuse
from alerthub.domain.resource_changes import Action, Change, Current, plan
from alerthub.domain.resources import (
    Device,
    Jurisdiction,
    Key,
    Kind,
    LifeStatus,
    Resource,
    key_of,
    references_of,
)
from alerthub.postgres import transaction
from services.registry import command_store, metrics, publication, store
from services.registry.topic_versions import TopicVersions

_DEFAULT_PAGE = 200


@dataclass(frozen=True, slots=True)
class Decision:
    """What a request changes, and what it was decided from."""

    changes: tuple[Change, ...]
    before: Mapping[Key, Current]
    parents_before: Mapping[str, str] = field(default_factory=dict)
    parents_after: Mapping[str, str] = field(default_factory=dict)

    @property
    def changed(self) -> list[Change]:
        return [change for change in self.changes if change.action is not Action.UNCHANGED]


class ResourceHandlers:
    """Plans and applies sets of resources, one set at a time."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        versions: TopicVersions,
        now_ms: Callable[[], int],
        activation_lead_ms: int,
    ) -> None:
        self._engine = engine
        self._versions = versions
        self._now_ms = now_ms
        self._activation_lead_ms = activation_lead_ms

    async def plan(self, resources: Sequence[registry_pb2.Resource]) -> registry_pb2.PlanResourcesResponse:
        """What applying the resources would change. Raises Refuse that names the field at fault."""
        wanted = _wanted(resources)
        async with transaction(self._engine) as connection:
            decision = await self._decide(connection, wanted)
        return registry_pb2.PlanResourcesResponse(changes=wire.changes_to_wire(decision.changes))

    async def apply(
        self, command_id: str, resources: Sequence[registry_pb2.Resource], *, actor: str
    ) -> registry_pb2.ApplyResourcesResponse:
        """Applies the resources in one transaction, or changes nothing.

        A repeat of a command id gives the first answer again. Raises Refuse that names the field at fault,
        Conflict for a command id that was used for something else.
        """
        wanted = _wanted(resources)
        request_sha256 = _fingerprint(resources)
        async with transaction(self._engine) as connection:
            await store.lock(connection)
            earlier = await command_store.earlier_response(connection, command_id)
            if earlier is not None:
                if earlier[0] != request_sha256:
                    raise Conflict("command_id", "an id of its own: this one was used for another request")
                return registry_pb2.ApplyResourcesResponse.FromString(earlier[1])
            decision, active_from_ms = await self.apply_within(connection, wanted, actor=actor)
            response = registry_pb2.ApplyResourcesResponse(
                changes=wire.changes_to_wire(decision.changes), active_from_ms=active_from_ms
            )
            await command_store.remember_response(
                connection,
                command_id,
                request_sha256,
                response.SerializeToString(),
                actor=actor,
                now_ms=self._now_ms(),
            )
        for change in decision.changed:
            metrics.resources_changed.labels(change.key.kind.value, change.action.value).inc()
        return response

    async def apply_within(
        self, connection: AsyncConnection, wanted: Sequence[Resource], *, actor: str
    ) -> tuple[Decision, int]:
        """Applies resources in the caller's transaction, which holds the lock; returns what was decided, and
        when it comes into force, ms since 1970 (0: nothing changed)."""
        now_ms = self._now_ms()
        decision = await self._decide(connection, wanted)
        changed = decision.changed
        active_from_ms = now_ms + self._activation_lead_ms if changed else 0
        made = await publication.publications(
            connection,
            decision.changes,
            decision.before,
            parents_before=decision.parents_before,
            parents_after=decision.parents_after,
            published=self._versions.of_resource,
            active_from_ms=active_from_ms,
            now_ms=now_ms,
        )
        declared = {change.key for change in changed}
        await store.save(connection, made, declared=declared, actor=actor, now_ms=now_ms)
        await audit.record_all(
            connection,
            [
                audit.Entry(
                    action=_AUDITED[change.action],
                    actor=actor,
                    subject=f"{change.key.kind.value}:{change.key.id}",
                    detail=_detail(change),
                )
                for change in changed
            ],
        )
        return decision, active_from_ms

    async def list(
        self, kind_name: str, page_size: int, page_token: str
    ) -> registry_pb2.ListResourcesResponse:
        """One page in order of kind and id, as consumers are told of them but without secrets' hashes."""
        kinds = {kind.value: kind for kind in Kind}
        if kind_name and kind_name not in kinds:
            raise Refuse("kind", f"one of {', '.join(kinds)}, or empty for all")
        after = tuple(page_token.split("/", 1)) if page_token else ("", "")
        if len(after) != 2:
            raise Refuse("page_token", "the next_page_token of the page before")
        size = page_size or _DEFAULT_PAGE
        async with transaction(self._engine) as connection:
            found = await store.page(connection, kinds.get(kind_name), (after[0], after[1]), size + 1)
        for resource in found:
            if resource.HasField("device"):
                resource.device.ClearField("secret_sha256")
        response = registry_pb2.ListResourcesResponse(resources=found[:size])
        if len(found) > size:
            last = key_of(wire.from_published(found[size - 1]))
            response.next_page_token = f"{last.kind.value}/{last.id}"
        return response

    async def _decide(self, connection: AsyncConnection, wanted: Sequence[Resource]) -> Decision:
        """What the wanted resources change. Raises Refuse that names the field at fault."""
        now_ms = self._now_ms()
        before = await store.load(connection, [key_of(resource) for resource in wanted])
        changes = plan(wanted, before, published=self._versions.of_resource)
        changing = {i for i, change in enumerate(changes) if change.action is not Action.UNCHANGED}
        indices = sorted(changing)
        changed = [wanted[index] for index in indices]

        def fields(position: int) -> str:
            return checks.field_of(indices[position], changed[position])

        for position, resource in enumerate(changed):
            checks.check_resource(resource, fields(position), now_ms=now_ms)
        decision = Decision(changes, before)
        if any(key_of(resource).kind in (Kind.JURISDICTION, Kind.UNIT, Kind.SHIFT) for resource in changed):
            parents = await store.jurisdiction_parents(connection)
            decision = Decision(changes, before, parents, _with(parents, changed))
            checks.check_jurisdictions(changed, fields=fields, parents=decision.parents_after)
        await _check_references(connection, changed, fields)
        await _check_unused(connection, changed, fields)
        await _check_districts(connection, changed, fields)
        return decision


def _wanted(resources: Sequence[registry_pb2.Resource]) -> list[Resource]:
    wanted = [wire.from_wire(resource, index) for index, resource in enumerate(resources)]
    checks.check_distinct(wanted)
    return wanted


def _fingerprint(resources: Sequence[registry_pb2.Resource]) -> bytes:
    digest = hashlib.sha256()
    for resource in resources:
        part = resource.SerializeToString(deterministic=True)
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


_AUDITED = {Action.CREATE: "ResourceCreated", Action.UPDATE: "ResourceUpdated"}


def _detail(change: Change) -> str:
    return f"version {change.version}: {', '.join(each.field for each in change.differences)}"


def _with(parents: Mapping[str, str], changed: Sequence[Resource]) -> dict[str, str]:
    after = dict(parents)
    for resource in changed:
        if isinstance(resource, Jurisdiction):
            after.pop(resource.jurisdiction_id, None)
            if resource.status is not LifeStatus.REMOVED:
                after[resource.jurisdiction_id] = resource.parent_id
    return after


async def _check_references(
    connection: AsyncConnection, changed: Sequence[Resource], fields: Callable[[int], str]
) -> None:
    here = {key_of(resource): resource for resource in changed}
    targets = {reference.target for resource in changed for reference in references_of(resource)}
    known = await store.existing(connection, targets - here.keys())
    known |= {key for key, resource in here.items() if resource.status is not LifeStatus.REMOVED}
    checks.check_references(changed, fields=fields, exists=known.__contains__)


async def _check_unused(
    connection: AsyncConnection, changed: Sequence[Resource], fields: Callable[[int], str]
) -> None:
    removed = {key_of(resource) for resource in changed if resource.status is LifeStatus.REMOVED}
    if not removed:
        return
    here = {key_of(resource): resource for resource in changed}
    stored = await store.users(connection, removed)

    def users(key: Key) -> list[Key]:
        others = [user for user in stored.get(key, []) if user not in here]
        return others + [
            user
            for user, resource in here.items()
            if key in {reference.target for reference in references_of(resource)}
        ]

    checks.check_unused(changed, fields=fields, users=users)


async def _check_districts(
    connection: AsyncConnection, changed: Sequence[Resource], fields: Callable[[int], str]
) -> None:
    devices = [resource for resource in changed if isinstance(resource, Device)]
    if not devices:
        return
    staying = await store.devices_in_districts(connection, {device.district for device in devices})
    moved = {device.device_id for device in devices}
    counts = Counter({district: len(found - moved) for district, found in staying.items()})
    counts.update(device.district for device in devices if device.status is not LifeStatus.REMOVED)
    checks.check_districts(changed, fields=fields, devices_of=counts.__getitem__)
