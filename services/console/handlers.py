"""What a person does at the page: asked of the services that own it, with the person's own token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from alerthub.api.v1 import alert_pb2, registry_pb2, watchlist_pb2
from alerthub.domain.canary import UNIT_KIND, is_canary
from alerthub.domain.checklists import check_ticked
from alerthub.domain.denials import Denial, no_evidence
from alerthub.domain.errors import AlertHubError, Conflict, NotAllowed, Retry
from alerthub.domain.reasons import Reason
from alerthub.domain.texts import NO_TEXT, LocalizedText
from alerthub.identity import NotAuthenticatedError
from alerthub.telemetry import logger
from services.console import map_models, models, views, vocabulary
from services.console.backends import Backends
from services.console.map_cache import EncodedPlaces, MapCache, Place
from services.console.pictures import OpenedPictures, Picture, picture_of
from services.console.sessions import Session, Sessions

log = logger(__name__)

_PAGE = 500
_MAXIMUM_OPEN = 5_000
"""Open alerts that a page is given: more than an office can look at in a night."""


class Handlers:
    """Decides nothing that another service owns."""

    def __init__(
        self,
        sessions: Sessions,
        backends: Backends,
        pictures: OpenedPictures,
        places: MapCache,
        *,
        silent_districts: Callable[[], frozenset[str]],
        now_ms: Callable[[], int],
    ) -> None:
        self._sessions = sessions
        self._backends = backends
        self._pictures = pictures
        self._places = places
        self._silent_districts = silent_districts
        self._encoded_places = EncodedPlaces()
        self._now_ms = now_ms

    # Sessions

    async def sign_in(self, account: str, password: str, *, address: str) -> tuple[str, Session]:
        """The cookie's value and the session. Raises NotAuthenticatedError with one sentence."""
        opened = await self._backends.open_session(account, password, address=address)
        return self._sessions.open(
            account,
            frozenset(opened.roles),
            opened.session_secret,
            opened_at_ms=opened.opened_at_ms,
            expires_at_ms=opened.expires_at_ms,
        )

    def session_view(self, session: Session) -> models.SessionView:
        return models.SessionView(
            account=session.account,
            roles=views.roles_of_wire(session.roles),
            expires_at_ms=session.expires_at_ms,
            idle_at_ms=self._sessions.ends_at_ms(session),
        )

    async def sign_out(self, session: Session) -> None:
        """Ends it here whatever the registry says; there it ends by itself."""
        self._sessions.end(session, Denial.SIGNED_OUT)
        try:
            await self._backends.close_session(session)
        except (Retry, NotAuthenticatedError):
            log.warning("session_not_closed_at_registry")

    async def sign_out_of(self, cookie: str) -> None:
        """Ends the session that this browser had, where it had one."""
        try:
            session = self._sessions.find(cookie)
        except NotAuthenticatedError:
            return
        await self.sign_out(session)

    # Alerts

    async def list_alerts(
        self, session: Session, states: Sequence[vocabulary.AlertStatus], cursor: str, size: int
    ) -> models.AlertPage:
        request = alert_pb2.ListAlertsRequest(
            statuses=[views.STATUS_VALUES[each] for each in states or views.OPEN_STATUSES],
            page_size=size,
            page_token=cursor,
        )
        answer = await self._backends.call(session, "dispatch", self._backends.dispatch.ListAlerts, request)
        return models.AlertPage(
            alerts=[views.summary_of(each) for each in answer.alerts if not is_canary(each.category)],
            next_cursor=answer.next_page_token or None,
        )

    async def open_alerts(self, session: Session) -> list[alert_pb2.Alert]:
        """Every open alert, newest first."""
        found: list[alert_pb2.Alert] = []
        token = ""
        while len(found) < _MAXIMUM_OPEN:
            request = alert_pb2.ListAlertsRequest(
                statuses=[views.STATUS_VALUES[each] for each in views.OPEN_STATUSES],
                page_size=_PAGE,
                page_token=token,
            )
            answer = await self._backends.call(
                session, "dispatch", self._backends.dispatch.ListAlerts, request
            )
            found.extend(each for each in answer.alerts if not is_canary(each.category))
            token = answer.next_page_token
            if not token:
                break
        return found

    async def snapshot(self, session: Session) -> list[alert_pb2.Alert]:
        """What a feed begins with. Learns on the way which districts there are, so that those that are not
        watched can be named; without the registry they cannot."""
        try:
            await self._map_places(session)
        except AlertHubError as error:
            log.warning("districts_not_read", error_type=type(error).__name__)
        return await self.open_alerts(session)

    async def card(self, session: Session, alert_id: str) -> models.AlertCard:
        return _card(await self._alert(session, alert_id), session)

    async def open_evidence(
        self, session: Session, alert_id: str, body: models.OpenEvidence
    ) -> models.OpenedEvidence:
        """On the record at the watchlist service before it is given. Raises Conflict where there is
        nothing to open."""
        found = await self._alert(session, alert_id)
        if not found.sealed_details:
            raise Conflict("alert_id", no_evidence(_missing(found)))
        second = ""
        if body.second_person is not None:
            second = await self._second_token(body.second_person)
        request = watchlist_pb2.OpenAlertRequest(
            alert_id=alert_id,
            entry_id=found.alert.entry_id,
            rule_id=found.alert.rule_id,
            sealed_details=found.sealed_details,
            sealed_picture=found.sealed_picture,
            reason=body.reason,
            second_person_token=second,
        )
        opened = await self._backends.call(session, "watchlist", self._backends.watchlist.OpenAlert, request)
        picture = picture_of(opened.picture)
        if picture is not None:
            self._pictures.put(session, alert_id, picture)
        details = opened.details
        missing = NO_TEXT
        if picture is None:
            missing = _missing(found) if found.sealed_missing_reason else Reason.NO_PICTURE_SENT.value
        return models.OpenedEvidence(
            alert_id=alert_id,
            identifier=details.identifier,
            make=details.make,
            colour=details.colour,
            plate_colour=details.plate_colour,
            case_number=details.case_number,
            issuing_authority=details.issuing_authority,
            authority_contact=details.authority_contact,
            instruction=views.text_of(details.instruction),
            has_picture=picture is not None,
            picture_missing_reason=missing.english,
            picture_missing_reason_chinese=missing.chinese,
        )

    async def _second_token(self, person: models.SecondPerson) -> str:
        try:
            return await self._backends.token_of_second_person(person.account, person.password, "watchlist")
        except NotAuthenticatedError as error:
            # Of the other person: whoever is signed in stays so.
            raise NotAllowed("second_person_token", error.words) from None

    def picture(self, session: Session, alert_id: str) -> Picture:
        """Raises NotFound where this session has not just opened it."""
        return self._pictures.get(session, alert_id)

    async def confirm(self, session: Session, alert_id: str, body: models.ConfirmAlert) -> models.AlertCard:
        """Refuses unless every item of the list, as the alert is now, is ticked."""
        found = await self._alert(session, alert_id)
        items = check_ticked(views.subject_of(found.alert), body.checklist)
        compared = "compared: " + ", ".join(each.item for each in items)
        request = alert_pb2.ConfirmAlertRequest(
            command_id=body.command_id,
            alert_id=alert_id,
            alert_version=body.version,
            note=f"{compared}; {body.note}" if body.note else compared,
        )
        answer = await self._backends.call(session, "dispatch", self._backends.dispatch.ConfirmAlert, request)
        return _card(_with(found, answer.alert), session)

    async def reject(self, session: Session, alert_id: str, body: models.RejectAlert) -> models.AlertCard:
        request = alert_pb2.RejectAlertRequest(
            command_id=body.command_id, alert_id=alert_id, alert_version=body.version, reason=body.reason
        )
        await self._backends.call(session, "dispatch", self._backends.dispatch.RejectAlert, request)
        return await self.card(session, alert_id)

    async def dispatch(self, session: Session, alert_id: str, body: models.DispatchUnit) -> models.AlertCard:
        request = alert_pb2.AssignUnitRequest(
            command_id=body.command_id, alert_id=alert_id, alert_version=body.version, unit_id=body.unit_id
        )
        await self._backends.call(session, "dispatch", self._backends.dispatch.AssignUnit, request)
        return await self.card(session, alert_id)

    async def acknowledge_by_voice(
        self, session: Session, alert_id: str, body: models.AcknowledgeByVoice
    ) -> models.AlertCard:
        request = alert_pb2.AcknowledgeByVoiceRequest(
            command_id=body.command_id,
            alert_id=alert_id,
            assignment_id=body.assignment_id,
            spoken_with=body.spoken_with,
        )
        await self._backends.call(session, "dispatch", self._backends.dispatch.AcknowledgeByVoice, request)
        return await self.card(session, alert_id)

    async def rank_units(self, session: Session, alert_id: str) -> models.UnitCandidates:
        request = alert_pb2.RankUnitsRequest(alert_id=alert_id)
        answer = await self._backends.call(session, "dispatch", self._backends.dispatch.RankUnits, request)
        return models.UnitCandidates(
            alert_id=alert_id,
            candidates=[views.candidate_of(each, time_ms=answer.time_ms) for each in answer.units],
        )

    # Map

    async def map_view(self, session: Session) -> bytes:
        """A `MapView` in JSON: what does not move is made once for everybody."""
        places, moving = await asyncio.gather(self._map_places(session), self.moving_view(session))
        fixed = await self._encoded_places.of(places, self._silent_districts())
        # Both are objects, and neither is empty.
        return moving.model_dump_json().encode()[:-1] + b"," + fixed[1:]

    async def moving_view(self, session: Session) -> map_models.MovingView:
        located, alerts = await asyncio.gather(self._located(session), self.open_alerts(session))
        return map_models.MovingView(
            server_time_ms=self._now_ms(),
            units=[
                views.map_unit_of(each, time_ms=located.time_ms)
                for each in located.units
                if each.unit_kind != UNIT_KIND
            ],
            alerts=views.map_alerts_of(alerts),
        )

    async def _located(self, session: Session) -> alert_pb2.LocateUnitsResponse:
        return await self._backends.call(
            session, "dispatch", self._backends.dispatch.LocateUnits, alert_pb2.LocateUnitsRequest()
        )

    async def _map_places(self, session: Session) -> Place:
        async def page(kind: str, token: str) -> registry_pb2.ListResourcesResponse:
            request = registry_pb2.ListResourcesRequest(kind=kind, page_size=1_000, page_token=token)
            return await self._backends.call(
                session, "registry", self._backends.registry.ListResources, request
            )

        return await self._places.get(page)

    async def _alert(self, session: Session, alert_id: str) -> alert_pb2.GetAlertResponse:
        request = alert_pb2.GetAlertRequest(alert_id=alert_id)
        return await self._backends.call(session, "dispatch", self._backends.dispatch.GetAlert, request)


def _with(found: alert_pb2.GetAlertResponse, alert: alert_pb2.Alert) -> alert_pb2.GetAlertResponse:
    found.alert.CopyFrom(alert)
    return found


def _missing(found: alert_pb2.GetAlertResponse) -> LocalizedText:
    return LocalizedText(found.sealed_missing_reason_chinese, found.sealed_missing_reason)


def _card(found: alert_pb2.GetAlertResponse, session: Session) -> models.AlertCard:
    return views.card_of(
        found.alert,
        evidence_missing=_missing(found),
        has_evidence=bool(found.sealed_details),
        roles=session.roles,
    )
