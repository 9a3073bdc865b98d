"""Sealing a fired observation for its alert, and every look at identifying data (refusals 3 and 8, C13).

Text and pictures are opened here and nowhere else. A look is recorded and committed before anything is
opened: one that cannot be recorded is not given. No answer ever holds a data key or an alert's key.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alerthub import audit
from alerthub.api.v1 import access_pb2, observation_pb2, watchlist_pb2
from alerthub.domain.denials import Denial, officers_token_not_valid, opened_too_much, second_token_not_valid
from alerthub.domain.errors import NotAllowed, NotFound, Refuse
from alerthub.domain.identifiers import IdentifierKind, normalise
from alerthub.domain.masks import EXACT, valid
from alerthub.domain.watchlist import EntryStatus, OpeningCap, needs_second_person
from alerthub.identity import Caller, CallerKind, NotAuthenticatedError, TokenVerifier
from alerthub.keys import KeyProvider, KeyUnavailableError
from alerthub.postgres import transaction
from alerthub.sealing import (
    CannotOpenError,
    Opener,
    WrappedKey,
    details_associated,
    open_sealed,
    picture_associated,
    seal,
)
from alerthub.tokens import Blinder
from services.watchlist import key_store, metrics, store
from services.watchlist.handlers import now_ms, person
from services.watchlist.key_store import AlertKey
from services.watchlist.publication import open_identifiers
from services.watchlist.store import StoredEntry


@dataclass(frozen=True, slots=True)
class Opened:
    """What one person may see now."""

    details: watchlist_pb2.OpenedDetails
    picture: bytes


@dataclass(frozen=True, slots=True)
class Look:
    """One look: what was brought, and for which alert."""

    alert_id: str
    sealed_details: bytes
    sealed_picture: bytes


class OpeningHandlers:
    """Seals for alerts, and opens for named persons."""

    def __init__(
        self,
        engine: AsyncEngine,
        keys: KeyProvider,
        *,
        cap: OpeningCap,
        officers: TokenVerifier,
        persons: TokenVerifier,
        clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        """`officers` verifies tokens for the audience push, `persons` those for this service."""
        self._engine = engine
        self._keys = keys
        self._cap = cap
        self._officers = officers
        self._persons = persons
        self._now_ms = clock_ms

    async def seal_for_alert(
        self, caller: Caller, request: watchlist_pb2.SealForAlertRequest
    ) -> watchlist_pb2.SealForAlertResponse:
        """Text and picture of a fired observation under the alert's own key.

        Refuses unless the token, computed again from the opened text, is the one that the entry publishes
        (or, for a rule, the subject's), and while the entry is not in force.
        """
        # The rule that fired on an entry is no subject of its own: the entry is.
        rule_id = "" if request.entry_id else request.rule_id
        if not request.entry_id and not rule_id:
            raise Refuse("entry_id", "the entry that hit, or else the rule that fired")
        time_ms = self._now_ms()
        proposed = self._new_alert_key(request.alert_id, request.entry_id, rule_id)
        async with transaction(self._engine) as connection:
            entry = None
            if request.entry_id:
                entry = await store.entry_by_id(connection, request.entry_id)
            alert_key = await key_store.keep_alert_key(connection, proposed, now_ms=time_ms)
            if (alert_key.entry_id, alert_key.rule_id) != (request.entry_id, rule_id):
                raise Refuse("alert_id", "an alert of the same entry or rule as before")
            await audit.record(
                connection,
                action="ObservationSealedForAlert",
                actor=caller.actor,
                subject=f"alert:{request.alert_id}",
                detail=f"{alert_key.subject}, observation {request.observation.observation_id.hex()}",
            )
        try:
            details, picture = self._opened_for_alert(request, entry, time_ms)
        except (Refuse, CannotOpenError):
            metrics.seals.labels("refused").inc()
            raise
        key = self._unwrapped(alert_key)
        metrics.seals.labels("sealed").inc()
        return watchlist_pb2.SealForAlertResponse(
            sealed_details=seal(key, details, _details_of(request.alert_id)),
            sealed_picture=seal(key, picture, _picture_of(request.alert_id)) if picture else b"",
        )

    def _opened_for_alert(
        self, request: watchlist_pb2.SealForAlertRequest, entry: StoredEntry | None, time_ms: int
    ) -> tuple[bytes, bytes]:
        """Details and picture in the clear, once their token was found right."""
        observation = request.observation
        wrapped = {key.data_key_id: key for key in request.data_keys}
        opener = Opener(lambda key_id: self._keys.private_key(key_id, now_ms=time_ms))
        details = b""
        if observation.identifiers or entry is not None:
            if request.identifier_index >= len(observation.identifiers):
                raise Refuse("identifier_index", "the index of one of the observation's identifiers")
            identifier = observation.identifiers[request.identifier_index]
            if not identifier.tokens:
                raise Refuse("observation.identifiers", "tokens beside each identifier")
            details = _open(
                opener,
                identifier.sealed_details,
                wrapped.get(identifier.data_key_id),
                details_associated(observation.observation_id, identifier.tokens[0]),
                field="observation.identifiers.sealed_details",
            )
            self._check_token(request, identifier, details, entry, time_ms)
        picture = b""
        if request.sealed_picture:
            try:
                picture = _open(
                    opener,
                    request.sealed_picture,
                    wrapped.get(observation.picture_data_key_id),
                    picture_associated(observation.observation_id, observation.picture_id),
                    field="sealed_picture",
                )
            except Refuse:
                # The text was found right: the alert goes on without its picture, and its card says why.
                metrics.seals.labels("without_picture").inc()
        return details, picture

    def _check_token(
        self,
        request: watchlist_pb2.SealForAlertRequest,
        identifier: observation_pb2.BlindedIdentifier,
        details: bytes,
        entry: StoredEntry | None,
        time_ms: int,
    ) -> None:
        """Refuses unless the opened text has the token of the named entry, or of the rule's subject."""
        mask = request.mask if entry is not None else EXACT
        if not valid(mask):
            raise Refuse("mask", "the mask of the token that hit")
        try:
            blinder = Blinder(request.epoch, self._keys.epoch_key(request.epoch, now_ms=time_ms), [mask])
        except KeyUnavailableError:
            raise Refuse("epoch", "an epoch whose key is not destroyed yet") from None
        try:
            kind = IdentifierKind(identifier.kind)
        except ValueError:
            raise Refuse("observation.identifiers.kind", "plate, document or tag") from None
        text = normalise(kind, _identifier_in(details)) or ""
        token = blinder.token(kind, text, mask) if text else b""
        if not token or not any(hmac.compare_digest(token, carried) for carried in identifier.tokens):
            raise Refuse("observation.identifiers", "text whose token is the one beside it")
        if entry is None:
            return
        if entry.entry.status is not EntryStatus.ACTIVE or entry.entry.valid_until_ms <= time_ms:
            raise Refuse("entry_id", "an entry that is in force")
        listed = [
            blinder.token(kind, own.text, mask)
            for own in open_identifiers(self._keys.entry_key(), entry)
            if own.kind == identifier.kind and mask in own.masks
        ]
        if not any(hmac.compare_digest(token, own) for own in listed):
            raise Refuse("entry_id", "the entry whose token hit")

    async def open_alert(self, caller: Caller, request: watchlist_pb2.OpenAlertRequest) -> Opened:
        """The identifying data of an alert for the person who calls, on the record."""
        person(caller)
        look = Look(request.alert_id, request.sealed_details, request.sealed_picture)
        second = self._second_person(caller, request.second_person_token)
        try:
            return await self._look(caller, look, reason=request.reason, second=second, for_whom="office")
        except NotAllowed:
            metrics.opens.labels("office", "refused").inc()
            raise

    async def open_for_officer(
        self, caller: Caller, request: watchlist_pb2.OpenAlertForOfficerRequest
    ) -> Opened:
        """The same for the officer to whom push delivers; the officer's own token says who that is."""
        try:
            officer = self._officers.verify(request.officer_token)
        except NotAuthenticatedError as error:
            raise NotAllowed("officer_token", officers_token_not_valid(error.words)) from None
        if not officer.has_role(access_pb2.ROLE_OFFICER):
            raise NotAllowed("officer_token", Denial.NOT_AN_OFFICER.value)
        look = Look(request.alert_id, request.sealed_details, request.sealed_picture)
        try:
            return await self._look(
                officer,
                look,
                reason=f"delivery by {caller.actor} to terminal:{request.terminal_id}",
                second=None,
                for_whom="officer",
            )
        except NotAllowed:
            metrics.opens.labels("officer", "refused").inc()
            raise

    def _second_person(self, caller: Caller, token: str) -> Caller | None:
        if not token:
            return None
        try:
            second = self._persons.verify(token)
        except NotAuthenticatedError as error:
            raise NotAllowed("second_person_token", second_token_not_valid(error.words)) from None
        if second.name == caller.name or not second.has_role(access_pb2.ROLE_SUPERVISOR):
            raise NotAllowed("second_person_token", Denial.SECOND_PERSON.value)
        return second

    async def _look(
        self, looker: Caller, look: Look, *, reason: str, second: Caller | None, for_whom: str
    ) -> Opened:
        time_ms = self._now_ms()
        async with transaction(self._engine) as connection:
            alert_key = await key_store.alert_key_of(connection, look.alert_id)
            if alert_key is None:
                raise NotFound("alert_id", Denial.EVIDENCE_GONE.value)
            entry = None
            if alert_key.entry_id:
                entry = await store.entry_by_id(connection, alert_key.entry_id)
            await self._check_cap(connection, looker, alert_key, second, time_ms)
            await key_store.note_opening(
                connection,
                person=looker.name,
                subject=alert_key.subject,
                alert_id=look.alert_id,
                now_ms=time_ms,
            )
            await audit.record(
                connection,
                action="AlertOpened" if for_whom == "office" else "AlertOpenedForOfficer",
                actor=looker.actor,
                subject=f"alert:{look.alert_id}",
                reason=reason,
                detail=alert_key.subject + (f", with {second.actor}" if second is not None else ""),
            )
        # Only now, with the look on the record, is anything opened.
        opened = self._opened(look, alert_key, entry)
        metrics.opens.labels(for_whom, "opened").inc()
        return opened

    async def _check_cap(
        self,
        connection: AsyncConnection,
        looker: Caller,
        alert_key: AlertKey,
        second: Caller | None,
        time_ms: int,
    ) -> None:
        if looker.kind is not CallerKind.PERSON:
            raise NotAllowed("caller", Denial.PERSON_SIGNED_IN.value)
        opened_at_ms = await key_store.opened_at(
            connection, person=looker.name, subject=alert_key.subject, except_alert=alert_key.alert_id
        )
        if second is None and needs_second_person(opened_at_ms, self._cap, now_ms=time_ms):
            raise NotAllowed(
                "second_person_token", opened_too_much(self._cap.alerts, self._cap.window_ms // 60_000)
            )

    def _opened(self, look: Look, alert_key: AlertKey, entry: StoredEntry | None) -> Opened:
        key = self._unwrapped(alert_key)
        details = watchlist_pb2.OpenedDetails()
        try:
            if look.sealed_details:
                plain = observation_pb2.SealedDetails.FromString(
                    open_sealed(key, look.sealed_details, _details_of(look.alert_id))
                )
                details = watchlist_pb2.OpenedDetails(
                    identifier=plain.identifier,
                    make=plain.make,
                    colour=plain.colour,
                    plate_colour=plain.plate_colour,
                )
            picture = b""
            if look.sealed_picture:
                picture = open_sealed(key, look.sealed_picture, _picture_of(look.alert_id))
        except (CannotOpenError, DecodeError):
            raise Refuse("sealed_details", Denial.EVIDENCE_NOT_ITS.value) from None
        if entry is not None:
            grounds = entry.entry.grounds
            details.case_number = grounds.case_number
            details.issuing_authority = grounds.issuing_authority
            details.authority_contact = grounds.authority_contact
            details.instruction.chinese = grounds.instruction_chinese
            details.instruction.english = grounds.instruction_english
        return Opened(details, picture)

    def _new_alert_key(self, alert_id: str, entry_id: str, rule_id: str) -> AlertKey:
        wrapped = seal(self._keys.alert_key(), secrets.token_bytes(32), _key_of(alert_id))
        return AlertKey(alert_id, wrapped, entry_id, rule_id)

    def _unwrapped(self, alert_key: AlertKey) -> bytes:
        return open_sealed(self._keys.alert_key(), alert_key.wrapped_key, _key_of(alert_key.alert_id))


def _open(
    opener: Opener,
    sealed: bytes,
    wrapped: observation_pb2.WrappedDataKey | None,
    associated: bytes,
    *,
    field: str,
) -> bytes:
    if wrapped is None:
        raise Refuse("data_keys", "the data keys of the observation's text and picture")
    key = WrappedKey(wrapped.data_key_id, wrapped.recipient_key_id, wrapped.wrapped)
    try:
        return opener.open(sealed, key, associated)
    except CannotOpenError:
        raise Refuse(field, "what was sealed beside this observation, within the retention") from None


def _identifier_in(details: bytes) -> str:
    try:
        return observation_pb2.SealedDetails.FromString(details).identifier
    except DecodeError:
        raise Refuse("observation.identifiers.sealed_details", "SealedDetails") from None


def _details_of(alert_id: str) -> bytes:
    return b"alert details|" + alert_id.encode()


def _picture_of(alert_id: str) -> bytes:
    return b"alert picture|" + alert_id.encode()


def _key_of(alert_id: str) -> bytes:
    return b"alert key|" + alert_id.encode()
