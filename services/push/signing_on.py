"""Who may hold a terminal's stream: certificate, officer's token, and a current shift of the unit (S2)."""

from __future__ import annotations

from functools import lru_cache

from cryptography import x509
from cryptography.x509.oid import NameOID

from alerthub.api.v1 import access_pb2
from alerthub.domain.denials import Denial
from alerthub.domain.errors import NotAllowed
from alerthub.domain.reasons import Reason
from alerthub.identity import Caller, NotAuthenticatedError, RevocationList, TokenVerifier
from alerthub.units import UnitDirectory


@lru_cache(maxsize=4096)
def unit_of_certificate(pem: bytes) -> str:
    """The unit that the registry enrolled the terminal for. Raises NotAuthenticatedError where it names
    none."""
    names = x509.load_pem_x509_certificate(pem).subject.get_attributes_for_oid(
        NameOID.ORGANIZATIONAL_UNIT_NAME
    )
    if len(names) != 1 or not names[0].value:
        raise NotAuthenticatedError(Denial.ENROL_AGAIN.value)
    return str(names[0].value)


class SigningOn:
    """Admits officers, and says when one who is signed on may no longer be."""

    def __init__(self, verifier: TokenVerifier, revocations: RevocationList, units: UnitDirectory) -> None:
        self._verifier = verifier
        self._revocations = revocations
        self._units = units

    def admit(self, officer_token: str, unit_id: str, now_ms: int) -> Caller:
        """The officer. Raises NotAuthenticatedError for the token, NotAllowed for role or shift."""
        officer = self._verifier.verify(officer_token)
        if not officer.has_role(access_pb2.ROLE_OFFICER):
            raise NotAllowed("officer_token", Denial.NOT_AN_OFFICER.value)
        if not self.is_on_shift(officer, unit_id, now_ms):
            raise NotAllowed("officer_token", Denial.OFF_SHIFT.value)
        return officer

    def is_on_shift(self, officer: Caller, unit_id: str, now_ms: int) -> bool:
        unit = self._units.get(unit_id, now_ms)
        return unit is not None and any(
            shift.from_ms <= now_ms < shift.until_ms and officer.name in shift.officers
            for shift in unit.shifts
        )

    def signed_off_because(self, officer: Caller, unit_id: str, now_ms: int) -> Reason | None:
        """Why the officer may no longer see what the terminal shows; None: may."""
        if self._revocations.is_revoked(officer):
            return Reason.ACCOUNT_REVOKED
        if not self.is_on_shift(officer, unit_id, now_ms):
            return Reason.SHIFT_ENDED
        return None
