"""Rules that fired and direct calls become alerts or sightings (C6, C8)."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from opentelemetry.trace import SpanContext
from sqlalchemy.ext.asyncio import AsyncEngine

from alerthub.api.v1 import common_pb2, observation_pb2, registry_pb2, watchlist_pb2
from alerthub.api.v1.alert_pb2 import AlertRaised
from alerthub.domain import alert_life
from alerthub.domain.errors import DeadLetter
from alerthub.domain.folding import Disposition, Folded, KnownEntry, NewestAlert, Raised, fold
from alerthub.domain.reasons import Reason
from services.dispatch import precision, spans
from services.dispatch.metrics import OPEN_SECONDS, RAISED
from services.dispatch.rows import NewSealing, NewSighting
from services.dispatch.wire import Facts, hit_identifier, policy_of_wire, sighting_message
from services.dispatch.work import ACTOR, Surroundings, Work, working

_WEAK_CLASSES = frozenset(
    {
        common_pb2.AUTHENTICATION_CLASS_UNSPECIFIED,
        common_pb2.AUTHENTICATION_CLASS_URL_TOKEN,
        common_pb2.AUTHENTICATION_CLASS_NETWORK_ONLY,
    }
)
CALL_RULE = "direct-call"
_NO_SPANS: Mapping[bytes, SpanContext] = {}
_CALL_TEXTS = {
    observation_pb2.DIRECT_CALL_KIND_PANIC: ("紧急求助", "Panic button: somebody asks for help at once."),
    observation_pb2.DIRECT_CALL_KIND_ESCORT_REQUEST: ("请求护送", "Escort requested."),
    observation_pb2.DIRECT_CALL_KIND_SERVICE_REQUEST: ("请求服务", "Service requested."),
}


def check_raised(raised: AlertRaised) -> None:
    """Raises DeadLetter, without any content, for what no correlator writes."""
    if len(raised.raised_id) != 16:
        raise DeadLetter("raised_id is not 16 bytes")
    if not raised.fold_key or not raised.rule_id:
        raise DeadLetter("fold key or rule id is missing")
    if raised.WhichOneof("match") == "watchlist":
        if not raised.watchlist.entry_id or hit_identifier(raised) is None:
            raise DeadLetter("the match names no entry or no identifier of the observation")
        if raised.fold_key != f"entry:{raised.watchlist.entry_id}":
            raise DeadLetter("the fold key is not the entry's")
    if raised.HasField("cloned_plate"):
        tokens = {token.hex() for one in raised.observation.identifiers for token in one.tokens if token}
        if raised.fold_key not in {f"rule:{raised.rule_id}:{token}" for token in tokens}:
            raise DeadLetter("the fold key is not of a token of the observation")


def raised_of_call(
    call: observation_pb2.DirectCall, *, rule: registry_pb2.Rule | None, jurisdiction: str
) -> AlertRaised:
    """A direct call as what a rule raises: critical and at once, unless a rule for calls says otherwise.

    Raises DeadLetter for a call without id or device.
    """
    if len(call.call_id) != 16 or not call.device_id:
        raise DeadLetter("call id is not 16 bytes, or there is no device")
    chinese, english = _CALL_TEXTS.get(call.kind, ("求助", "A call for help."))
    kind = observation_pb2.DirectCallKind.Name(call.kind) if call.kind in _CALL_TEXTS else "CALL"
    seen = observation_pb2.Observation(
        observation_id=call.call_id,
        device_id=call.device_id,
        device_time_ms=call.device_time_ms,
        corrected_time_ms=call.device_time_ms,
        received_time_ms=call.received_time_ms,
        position=call.position if call.HasField("position") else None,
        district=call.district,
        authentication_class=call.authentication_class,
    )
    rule_id = rule.rule_id if rule is not None else CALL_RULE
    return AlertRaised(
        raised_id=call.call_id,
        rule_id=rule_id,
        rule_version=rule.version if rule is not None else 1,
        rule_kind=registry_pb2.RULE_KIND_DIRECT_CALL,
        fold_key=f"rule:{rule_id}:{kind}:{call.device_id}",
        severity=rule.severity if rule is not None else common_pb2.SEVERITY_CRITICAL,
        policy=common_pb2.DISPATCH_POLICY_SEND_AT_ONCE,
        unit_kind=rule.unit_kind if rule is not None else "",
        officer_text=(
            rule.officer_text
            if rule is not None
            else common_pb2.LocalizedText(chinese=chinese, english=english)
        ),
        jurisdiction=jurisdiction,
        observation=seen,
        correlated_time_ms=call.received_time_ms,
    )


@dataclass(frozen=True, slots=True)
class _Hit:
    """One raised alert and what deciding needs of it."""

    raised: AlertRaised
    token: bytes
    tokens: frozenset[bytes]

    @property
    def suppression_key(self) -> tuple[str, bytes, str]:
        return (self.raised.fold_key, self.token, self.raised.observation.device_id)

    @property
    def entry_id(self) -> str:
        return self.raised.watchlist.entry_id

    @property
    def direct_call(self) -> bool:
        return self.raised.rule_kind == registry_pb2.RULE_KIND_DIRECT_CALL


def _hit(raised: AlertRaised) -> _Hit:
    identifier = hit_identifier(raised)
    tokens = (
        frozenset(token for token in identifier.tokens if token) if identifier is not None else frozenset()
    )
    token = raised.watchlist.token
    return _Hit(raised, token, tokens | {token} if token else tokens)


class Intake:
    """Takes batches. A batch is one transaction: whoever calls commits Kafka's offsets after it returns."""

    def __init__(self, database: AsyncEngine, surroundings: Surroundings) -> None:
        self._database = database
        self._surroundings = surroundings

    async def take(
        self, batch: Sequence[AlertRaised], came_with: Mapping[bytes, SpanContext] = _NO_SPANS
    ) -> Sequence[NewSealing]:
        """Opens alerts, adds sightings, forgets repeats; returns what is to be sealed now. Raises Retry.

        `came_with` gives by raised id the span that the record carried.
        """
        hits = {bytes(raised.raised_id): _hit(raised) for raised in batch}
        counted: Tally[str] = Tally()
        async with working(self._database, self._surroundings) as work:
            known = await self._lock_entries(work, list(hits.values()))
            for raised_id in await work.store.raised_before(hits):
                del hits[raised_id]
                counted["repeat"] += 1
            newest = await work.store.newest_of_fold_keys(hit.raised.fold_key for hit in hits.values())
            current = {key: work.take(stored).alert_id for key, stored in newest.items()}
            suppressed = await work.store.suppressed_until([hit.suppression_key for hit in hits.values()])
            suspended = await precision.suspended_subjects(
                work.connection,
                [subject for hit in hits.values() for subject in precision.subjects_of(hit.raised)],
            )
            for hit in hits.values():
                entry = known.get(hit.entry_id)
                until = suppressed.get(hit.suppression_key, 0)
                folded = self._fold(work, hit, current.get(hit.raised.fold_key), entry, until)
                counted[folded.disposition.value] += 1
                if folded.disposition is Disposition.OPENED:
                    looked_at = not suspended.isdisjoint(precision.subjects_of(hit.raised))
                    current[hit.raised.fold_key] = await self._open(work, hit, suspended=looked_at)
                elif folded.disposition is Disposition.JOINED:
                    self._join(work, hit, current[hit.raised.fold_key], covered=folded.covered)
                else:
                    work.note_raised(hit.raised.raised_id, None, folded.disposition.value)
                became = folded.disposition in (Disposition.OPENED, Disposition.JOINED)
                work.note_taken(
                    spans.Taken(
                        hit.raised,
                        folded.disposition.value,
                        current[hit.raised.fold_key] if became else "",
                        work.now_ms,
                        came_with.get(hit.raised.raised_id),
                    )
                )
        for disposition, count in counted.items():
            RAISED.labels(disposition).inc(count)
        return work.sealings

    @staticmethod
    async def _lock_entries(work: Work, hits: Sequence[_Hit]) -> dict[str, KnownEntry]:
        return await work.store.lock_entries(
            {
                hit.entry_id: (hit.raised.watchlist.entry_version, hit.raised.watchlist.entry_valid_until_ms)
                for hit in hits
                if hit.entry_id
            }
        )

    @staticmethod
    def _fold(
        work: Work, hit: _Hit, alert_id: str | None, entry: KnownEntry | None, suppressed_until_ms: int
    ) -> Folded:
        newest = None
        if alert_id is not None:
            alert = work.alert(alert_id)
            newest = NewestAlert(
                alert.status, alert.severity, alert.closed_at_ms, bytes(work.facts(alert_id).basis_token)
            )
        return fold(
            Raised(hit.raised.severity, hit.tokens, direct_call=hit.direct_call),
            newest=newest,
            entry=entry,
            suppressed_until_ms=suppressed_until_ms,
            now_ms=work.now_ms,
        )

    async def _open(self, work: Work, hit: _Hit, *, suspended: bool) -> str:
        raised = hit.raised
        names_person = raised.watchlist.names_person
        # Direct calls are never suspended (refusal 9).
        suspended = suspended and not hit.direct_call
        alert_id = raised.raised_id.hex()
        policy = alert_life.effective_policy(
            policy=policy_of_wire(raised.policy),
            names_person=names_person,
            qualified_device=raised.observation.authentication_class not in _WEAK_CLASSES,
            suspended=suspended,
        )
        change = alert_life.open_alert(
            alert_id=alert_id,
            policy=policy,
            names_person=names_person,
            severity=raised.severity,
            supervisor_required=suspended,
            actor=ACTOR,
            now_ms=work.now_ms,
        )
        work.note_raised(raised.raised_id, alert_id, Disposition.OPENED.value)
        work.open(_facts(hit), change)
        self._add_sighting(work, hit, alert_id, added_version=1, covered=True)
        self._seal(work, hit, alert_id)
        await work.seek_unit(alert_id)
        if raised.observation.received_time_ms:
            OPEN_SECONDS.observe(max(0, work.now_ms - raised.observation.received_time_ms) / 1_000)
        return alert_id

    def _join(self, work: Work, hit: _Hit, alert_id: str, *, covered: bool) -> None:
        alert = work.apply(
            alert_life.add_sighting(
                work.alert(alert_id),
                covered=covered,
                severity=hit.raised.severity,
                actor=ACTOR,
                now_ms=work.now_ms,
            )
        )
        work.note_raised(hit.raised.raised_id, alert_id, Disposition.JOINED.value)
        self._add_sighting(work, hit, alert_id, added_version=alert.version, covered=covered)
        if not covered:
            self._seal(work, hit, alert_id)

    @staticmethod
    def _add_sighting(work: Work, hit: _Hit, alert_id: str, *, added_version: int, covered: bool) -> None:
        seen = hit.raised.observation
        without = Reason.NOT_SEALED_YET if seen.picture_id else Reason.NO_PICTURE_SENT
        work.add_sighting(
            NewSighting(
                raised_id=hit.raised.raised_id,
                alert_id=alert_id,
                added_version=added_version,
                device_id=seen.device_id,
                token=hit.token,
                needs_confirmation=not covered,
                picture_missing_reason=without.value.english,
                body=sighting_message(hit.raised, work.now_ms).SerializeToString(),
            )
        )

    @staticmethod
    def _seal(work: Work, hit: _Hit, alert_id: str) -> None:
        raised = hit.raised
        if not raised.observation.identifiers and not raised.observation.picture_id:
            return
        request = watchlist_pb2.SealForAlertRequest(
            alert_id=alert_id,
            entry_id=raised.watchlist.entry_id,
            entry_version=raised.watchlist.entry_version,
            rule_id=raised.rule_id,
            observation=raised.observation,
            identifier_index=raised.watchlist.identifier_index,
            mask=raised.watchlist.mask,
            epoch=raised.watchlist.epoch or raised.epoch,
            data_keys=raised.data_keys,
        )
        work.add_sealing(
            NewSealing(raised.raised_id, alert_id, request.SerializeToString(), raised.observation.picture_id)
        )


def _facts(hit: _Hit) -> Facts:
    raised = hit.raised
    place = raised.observation.position if raised.observation.HasField("position") else None
    return Facts(
        fold_key=raised.fold_key,
        rule_id=raised.rule_id,
        rule_version=raised.rule_version,
        rule_kind=raised.rule_kind,
        unit_kind=raised.unit_kind,
        officer_text_chinese=raised.officer_text.chinese,
        officer_text_english=raised.officer_text.english,
        jurisdiction=raised.jurisdiction,
        district=raised.observation.district,
        entry_id=hit.entry_id,
        entry_version=raised.watchlist.entry_version,
        category=raised.watchlist.category,
        device_id=raised.observation.device_id,
        basis_raised_id=raised.raised_id,
        basis_token=hit.token,
        latitude=place.latitude if place is not None else None,
        longitude=place.longitude if place is not None else None,
        cooldown_ms=raised.cooldown_seconds * 1_000,
    )
