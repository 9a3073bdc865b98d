"""Many resources at once, as a set-up file brings them: what would change, what is wrong with it, and in
which order it can be applied in parts.

Each part is applied by itself, and whatever has been applied must be a city that the registry takes. So the
parts are ordered: what frees room or a reference comes first, in one part; then everything else.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from alerthub.domain import resource_checks as checks
from alerthub.domain.errors import Refuse
from alerthub.domain.resource_changes import Action, Change, Current, plan
from alerthub.domain.resources import Device, Key, LifeStatus, Resource, Shift, key_of, references_of


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one of the wanted resources. `refused.field` is a field of the resource."""

    key: Key
    refused: Refuse


@dataclass(frozen=True, slots=True)
class BulkPlan:
    """What a file would change: its own resources in their order, and those that are gone from it."""

    changes: tuple[Change, ...]
    gone: tuple[Change, ...]

    @property
    def changing(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.action is not Action.UNCHANGED) + self.gone

    def count(self, action: Action) -> int:
        return sum(change.action is action for change in self.changes)


def plan_bulk(wanted: Sequence[Resource], current: Mapping[Key, Current], *, prune: bool) -> BulkPlan:
    """What the wanted resources of one kind would change among the `current` ones.

    With `prune`, what is in force and not wanted is removed. A roster speaks for its own time alone: of
    shifts, those are gone that begin between the file's first beginning and its last end.
    """
    changes = plan(wanted, current)
    if not prune or not wanted:
        return BulkPlan(changes, ())
    kind = key_of(wanted[0]).kind
    named = {key_of(resource) for resource in wanted}
    gone = [
        dataclasses.replace(known.resource, status=LifeStatus.REMOVED)
        for key, known in sorted(current.items(), key=lambda item: item[0].id)
        if key.kind is kind and key not in named and _is_there(known) and _is_spoken_for(known, wanted)
    ]
    return BulkPlan(changes, plan(gone, current))


def _is_there(known: Current | None) -> bool:
    return known is not None and known.resource.status is not LifeStatus.REMOVED


def _is_spoken_for(known: Current, wanted: Sequence[Resource]) -> bool:
    if not isinstance(known.resource, Shift):
        return True
    shifts = [resource for resource in wanted if isinstance(resource, Shift)]
    first, last = min(shift.from_ms for shift in shifts), max(shift.until_ms for shift in shifts)
    return first <= known.resource.from_ms < last


def faults(bulk: BulkPlan, current: Mapping[Key, Current], *, now_ms: int) -> Iterator[Fault]:
    """Everything that the registry would refuse, at most one of each sort for a resource.

    `current` holds what the changes refer to and what refers to them, too.
    """
    after = {key: known.resource for key, known in current.items()}
    after |= {change.key: change.resource for change in bulk.changing}
    there = {key for key, resource in after.items() if resource.status is not LifeStatus.REMOVED}
    removed = {change.key for change in bulk.changing if change.resource.status is LifeStatus.REMOVED}
    users = _users(after.values(), removed)
    room = Counter(
        resource.district
        for resource in after.values()
        if isinstance(resource, Device) and resource.status is not LifeStatus.REMOVED
    )
    crowded: set[str] = set()

    def no_field(_: int) -> str:
        return ""

    for change in bulk.changing:
        resource = change.resource
        try:
            checks.check_resource(resource, "", now_ms=now_ms)
        except Refuse as refused:
            yield Fault(change.key, refused)
        try:
            checks.check_references([resource], fields=no_field, exists=there.__contains__)
            checks.check_unused([resource], fields=no_field, users=lambda key: users.get(key, ()))
        except Refuse as refused:
            yield Fault(change.key, refused)
        if isinstance(resource, Device) and resource.district not in crowded:
            try:
                checks.check_districts([resource], fields=no_field, devices_of=room.__getitem__)
            except Refuse as refused:
                crowded.add(resource.district)
                yield Fault(change.key, refused)


def _users(resources: Iterable[Resource], targets: set[Key]) -> dict[Key, list[Key]]:
    found: dict[Key, list[Key]] = {}
    if targets:
        for resource in resources:
            for reference in references_of(resource):
                if reference.target in targets:
                    found.setdefault(reference.target, []).append(key_of(resource))
    return found


def in_parts(
    bulk: BulkPlan,
    current: Mapping[Key, Current],
    *,
    size: int,
    largest: int,
    weight: Callable[[Resource], int],
    heaviest: int,
) -> tuple[tuple[Resource, ...], ...]:
    """The changing resources in parts, each of which the registry takes once those before are applied.

    The first part holds what frees room in a district or a reference, with everything that this refers to.
    The others are of at most `size`, and of `heaviest` by the sum of their weights. Raises Refuse when the
    first part alone is more than `largest`, or too heavy.
    """
    changing = {change.key: change.resource for change in bulk.changing}
    tied = _tied(changing, current)
    first = tuple(resource for key, resource in changing.items() if key in tied)
    if len(first) > largest or sum(weight(resource) for resource in first) > heaviest:
        raise Refuse("the file", f"at most {largest} resources that move or are removed: divide it")
    rest = [resource for key, resource in changing.items() if key not in tied]
    # A sort that keeps the order: who refers to others of its own kind comes after them.
    rest.sort(key=_refers_to_its_kind)
    parts: list[tuple[Resource, ...]] = [first] if first else []
    part: list[Resource] = []
    weighs = 0
    for resource in rest:
        own = weight(resource)
        if part and (len(part) == size or weighs + own > heaviest):
            parts.append(tuple(part))
            part, weighs = [], 0
        part.append(resource)
        weighs += own
    return (*parts, tuple(part)) if part else tuple(parts)


def _refers_to_its_kind(resource: Resource) -> bool:
    return any(each.target.kind is key_of(resource).kind for each in references_of(resource))


def _tied(changing: Mapping[Key, Resource], current: Mapping[Key, Current]) -> set[Key]:
    """Those that must be applied at once: what frees something, who refers to a new one that refers to others
    itself, and the new ones that either of them refers to."""
    removed = {key for key, resource in changing.items() if resource.status is LifeStatus.REMOVED}

    def new_targets(resource: Resource) -> list[Key]:
        targets = [reference.target for reference in references_of(resource)]
        return [key for key in targets if key in changing and not _is_there(current.get(key))]

    tied = {
        key
        for key, resource in changing.items()
        if _frees(resource, current.get(key), removed)
        or any(_refers_to_its_kind(changing[target]) for target in new_targets(resource))
    }
    waiting = list(tied)
    while waiting:
        for target in new_targets(changing[waiting.pop()]):
            if target not in tied:
                tied.add(target)
                waiting.append(target)
    return tied


def _frees(resource: Resource, known: Current | None, removed: set[Key]) -> bool:
    if known is None or not _is_there(known):
        return False
    before = known.resource
    if resource.status is LifeStatus.REMOVED:
        return True
    if isinstance(resource, Device) and isinstance(before, Device) and resource.district != before.district:
        return True
    return any(reference.target in removed for reference in references_of(before))
