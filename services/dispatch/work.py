"""One unit of work: what was decided is collected, and written once at the end of its transaction.

Whatever changes an alert goes through `apply`, so every event reaches the audit log and `alert-events` in the
transaction that it belongs to, with the alert as it is after it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alerthub import audit, outbox
from alerthub.alert_events import TOPIC
from alerthub.api.v1.alert_pb2 import Sighting
from alerthub.domain import alert_life, reasons
from alerthub.domain import alerts as domain
from alerthub.domain.alerts import Change, EventKind
from alerthub.domain.canary import is_canary
from alerthub.domain.deadlines import DeadlineTimes, Waiting
from alerthub.domain.reasons import Reason
from alerthub.domain.routing import Workload, candidates, choose
from alerthub.domain.texts import LocalizedText
from alerthub.postgres import transaction
from alerthub.tracing import Traces
from services.dispatch import spans
from services.dispatch.fleet import Fleet
from services.dispatch.metrics import EVENTS
from services.dispatch.rows import NewSealing, NewSighting, StoredAlert, sighting_of
from services.dispatch.store import Store
from services.dispatch.wire import NEWEST_SIGHTINGS, Facts, alert_message, event_message

ACTOR = "service:dispatch"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What decisions need beside the database."""

    fleet: Fleet
    times: DeadlineTimes
    traces: Traces | None = None


class Work:
    """See the module. `now_ms` is the database's clock at its beginning."""

    def __init__(self, connection: AsyncConnection, surroundings: Surroundings, now_ms: int) -> None:
        self.store = Store(connection)
        self.connection = connection
        self.now_ms = now_ms
        self._surroundings = surroundings
        self._facts: dict[str, Facts] = {}
        self._alerts: dict[str, domain.Alert] = {}
        self._stored: dict[str, domain.Alert] = {}
        """As the database has them."""
        self._new: list[str] = []
        self._changed: dict[str, None] = {}
        self._events: list[domain.Event] = []
        self._raised: list[tuple[bytes, str | None, str]] = []
        self._sightings: list[NewSighting] = []
        self._sealings: list[NewSealing] = []
        self._deadlines: dict[tuple[str, int], Waiting] = {}
        self._confirmed: list[str] = []
        self._workloads: dict[str, Workload] = {}
        self._reachable: dict[str, bool] = {}
        self._taken: list[spans.Taken] = []
        self.answered: spans.Answered | None = None
        """The span of the terminal's command that this work is about."""

    # What was loaded

    def take(self, stored: StoredAlert) -> domain.Alert:
        """Works on this alert, which is locked; returns it as it is now in this unit of work."""
        alert_id = stored.alert.alert_id
        self._facts.setdefault(alert_id, stored.facts)
        self._stored.setdefault(alert_id, stored.alert)
        return self._alerts.setdefault(alert_id, stored.alert)

    async def load(self, alert_id: str) -> domain.Alert | None:
        """Locks and takes the alert; None where it does not exist."""
        found = await self.store.alerts([alert_id])
        return self.take(found[alert_id]) if alert_id in found else None

    async def load_with_entries(self, alert_ids: Iterable[str]) -> dict[str, bool]:
        """Locks the alerts' entries and then the alerts, as raising and withdrawing do (C8), and takes them.

        Tells of each alert that exists whether what it stands on is in force; a rule's always is.
        """
        seen = await self.store.alerts(alert_ids, lock=False)
        known = await self.store.lock_entries(
            {
                each.facts.entry_id: (each.facts.entry_version, 0)
                for each in seen.values()
                if each.facts.entry_id
            }
        )
        for stored in (await self.store.alerts(seen)).values():
            self.take(stored)
        return {
            alert_id: not each.facts.entry_id or known[each.facts.entry_id].in_force(self.now_ms)
            for alert_id, each in seen.items()
        }

    def alert(self, alert_id: str) -> domain.Alert:
        return self._alerts[alert_id]

    def facts(self, alert_id: str) -> Facts:
        return self._facts[alert_id]

    # What was decided

    def open(self, facts: Facts, change: Change) -> domain.Alert:
        """A new alert."""
        alert = change.alert
        self._facts[alert.alert_id] = facts
        self._new.append(alert.alert_id)
        return self.apply(change)

    def apply(self, change: Change) -> domain.Alert:
        """The alert is now as `change` says."""
        alert = change.alert
        if not change.events:
            return alert
        self._alerts[alert.alert_id] = alert
        self._changed[alert.alert_id] = None
        self._events.extend(change.events)
        for event in change.events:
            if event.alert.waiting is not None:
                key = (alert.alert_id, event.alert.waiting.since_version)
                if event.alert.waiting.since_version == event.alert.version:
                    self._deadlines[key] = event.alert.waiting
            if event.kind is EventKind.CONFIRMED:
                self._confirmed.append(alert.alert_id)
        return alert

    def note_raised(self, raised_id: bytes, alert_id: str | None, disposition: str) -> None:
        self._raised.append((raised_id, alert_id, disposition))

    def note_taken(self, taken: spans.Taken) -> None:
        """For the trace, which nothing else depends on."""
        self._taken.append(taken)

    def add_sighting(self, sighting: NewSighting) -> None:
        self._sightings.append(sighting)

    def add_sealing(self, sealing: NewSealing) -> None:
        self._sealings.append(sealing)

    @property
    def sealings(self) -> Sequence[NewSealing]:
        """What of this work has to be sealed, leased to this instance once it is committed."""
        return tuple(self._sealings)

    async def seek_unit(self, alert_id: str) -> domain.Alert:
        """Offers the alert to the nearest unit that fits and was not asked yet, else escalates it (C18)."""
        alert, facts = self._alerts[alert_id], self._facts[alert_id]
        if not alert.needs_unit:
            return alert
        fleet = self._surroundings.fleet
        available = candidates(
            fleet.units(self.now_ms),
            kind=facts.unit_kind,
            jurisdiction=facts.jurisdiction,
            excluded=alert.tried_units,
            now_ms=self.now_ms,
        )
        unknown = [each for each in available if each.unit.unit_id not in self._workloads]
        if unknown:
            loads, reachable = await self.store.workloads(unknown)
            self._workloads.update(loads)
            self._reachable.update((each, each in reachable) for each in loads)
        route = choose(
            available,
            place=facts.place,
            positions=fleet.positions,
            workloads=self._workloads,
            now_ms=self.now_ms,
        )
        if route is None:
            if is_canary(facts.category):
                # Nobody is to be woken for it; closed, its entry is free for the next read.
                undelivered = Reason.CANARY_NOT_DELIVERED.value
                return self.apply(
                    alert_life.cancel(alert, reason=undelivered, actor=ACTOR, now_ms=self.now_ms)
                )
            reason = reasons.none_left(len(alert.tried_units))
            return self.apply(alert_life.escalate(alert, reason=reason, actor=ACTOR, now_ms=self.now_ms))
        return await self.offer(alert_id, route.unit_id, route.reasons, ACTOR)

    async def offer(
        self, alert_id: str, unit_id: str, why: tuple[LocalizedText, ...], actor: str
    ) -> domain.Alert:
        """Offers the alert to this unit."""
        alert = self._alerts[alert_id]
        if unit_id not in self._reachable:
            self._reachable[unit_id] = await self.store.is_reachable(unit_id)
        change = alert_life.offer(
            alert,
            assignment_id=f"{alert_id}-{len(alert.assignments) + 1}",
            unit_id=unit_id,
            reasons=why,
            reachable=self._reachable[unit_id],
            actor=actor,
            now_ms=self.now_ms,
        )
        load = self._workloads.get(unit_id, Workload())
        self._workloads[unit_id] = replace(load, live=load.live + 1, this_shift=load.this_shift + 1)
        return self.apply(change)

    def tell_spans(self) -> None:
        """Tells the traces what was done; call it once it is committed."""
        if self._surroundings.traces is not None:
            spans.tell(self._surroundings.traces, self._taken, self._events, self.answered)

    # What is written

    async def flush(self) -> None:
        """Writes everything; call it once, last."""
        new = [StoredAlert(self._facts[each], self._alerts[each]) for each in self._new]
        changed = [self._alerts[each] for each in self._changed]
        await self.store.note_raised(self._raised)
        await self.store.insert_alerts(new)
        await self.store.update_alerts([each for each in changed if each.alert_id not in set(self._new)])
        await self.store.insert_sightings(self._sightings)
        await self.store.insert_sealings(self._sealings)
        await self.store.put_assignments([each for each in changed if self._has_other_assignments(each)])
        times = self._surroundings.times
        await self.store.insert_deadlines(
            [
                (alert_id, waiting, times.of(waiting.kind))
                for (alert_id, _), waiting in self._deadlines.items()
            ]
        )
        for alert_id in self._confirmed:
            await self.store.confirm_sightings(alert_id, self._alerts[alert_id].pending)
        await self._publish()

    def _has_other_assignments(self, alert: domain.Alert) -> bool:
        """Whether they are not those that the database has."""
        stored = self._stored.get(alert.alert_id)
        return alert.assignments != (stored.assignments if stored is not None else ())

    async def _publish(self) -> None:
        if not self._events:
            return
        sightings = await self._newest_sightings()
        await audit.record_all(
            self.connection,
            [
                audit.Entry(
                    action=f"alert_{event.kind.value}",
                    actor=event.actor,
                    subject=f"alert:{event.alert.alert_id}",
                    reason=event.reason,
                    detail=f"version {event.alert.version}",
                )
                for event in self._events
            ],
        )
        await outbox.enqueue_all(self.connection, [self._message(event, sightings) for event in self._events])
        for event in self._events:
            EVENTS.labels(event.kind.value).inc()

    async def _newest_sightings(self) -> Mapping[str, Sequence[Sighting]]:
        """Of the changed alerts. Those of a new one are all of this work, and need no look into the table."""
        found = await self.store.newest_sightings(each for each in self._changed if each not in self._new)
        for each in self._sightings:
            if each.alert_id in self._new:
                found.setdefault(each.alert_id, []).append(
                    sighting_of(
                        each.body,
                        needs_confirmation=each.needs_confirmation,
                        has_picture=False,
                        picture_missing_reason=each.picture_missing_reason,
                    )
                )
        return {alert_id: some[-NEWEST_SIGHTINGS:] for alert_id, some in found.items()}

    def _message(self, event: domain.Event, sightings: Mapping[str, Sequence[Sighting]]) -> outbox.Message:
        alert_id = event.alert.alert_id
        alert = alert_message(self._facts[alert_id], event.alert, sightings.get(alert_id, ()))
        return outbox.Message(
            TOPIC, alert_id, event.alert.version, event_message(event, alert).SerializeToString()
        )


@asynccontextmanager
async def working(database: AsyncEngine, surroundings: Surroundings) -> AsyncIterator[Work]:
    """One transaction with its unit of work; written and committed at the end. Raises Retry."""
    async with transaction(database) as connection:
        work = Work(connection, surroundings, await Store(connection).now_ms())
        yield work
        await work.flush()
    work.tell_spans()
