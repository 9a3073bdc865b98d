"""Who a caller is: certificates, tokens, revocations (S2)."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest
from core_authority import Authority
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from alerthub.api.v1.access_pb2 import ROLE_AUDITOR, ROLE_OPERATOR
from alerthub.api.v1.registry_pb2 import Revocation
from alerthub.domain.errors import DeadLetter
from alerthub.identity import (
    ANONYMOUS,
    Caller,
    CallerKind,
    NotAuthenticatedError,
    RevocationEntry,
    RevocationList,
    TokenSigner,
    TokenVerifier,
    caller_of_certificate,
    parse_spiffe,
    spiffe,
)

KEY = Ed25519PrivateKey.generate()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def token_for(account: str = "li.wei", *, audience: str = "dispatch", at_ms: int | None = None) -> str:
    signed, _ = TokenSigner(KEY).sign(
        account=account, roles=[ROLE_OPERATOR, ROLE_AUDITOR], audience=audience, now_ms=at_ms or now_ms()
    )
    return signed


def verifier(revocations: RevocationList | None = None) -> TokenVerifier:
    return TokenVerifier(KEY.public_key(), audience="dispatch", revocations=revocations)


def claims(**changes: object) -> dict[str, object]:
    at = now_ms()
    return {
        "iss": changes.get("iss", "alerthub-registry"),
        "sub": "li.wei",
        "aud": changes.get("audience", "dispatch"),
        "roles": changes.get("roles", ["ROLE_OPERATOR"]),
        "iat": at // 1000,
        "nbf": at // 1000,
        "exp": at // 1000 + 300,
        "jti": "x",
        "issued_ms": at,
    }


def signed(**changes: object) -> str:
    return jwt.encode(claims(**changes), KEY, algorithm="EdDSA")


def unsigned() -> str:
    return jwt.encode(claims(), "", algorithm="none")


def signed_by_a_stranger() -> str:
    return jwt.encode(claims(), Ed25519PrivateKey.generate(), algorithm="EdDSA")


def signed_with_the_public_key_as_secret() -> str:
    public = KEY.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return jwt.encode(claims(), public, algorithm="HS256")


def long_lived() -> str:
    at = now_ms() // 1000
    return jwt.encode({**claims(), "exp": at + 86_400}, KEY, algorithm="EdDSA")


def test_a_token_names_the_person_and_the_roles() -> None:
    caller = verifier().verify(token_for())
    assert (caller.kind, caller.name, caller.actor) == (CallerKind.PERSON, "li.wei", "person:li.wei")
    assert caller.roles == {ROLE_OPERATOR, ROLE_AUDITOR}


def test_a_token_names_who_made_the_account() -> None:
    token, _ = TokenSigner(KEY).sign(
        account="li.wei", roles=[], audience="dispatch", now_ms=now_ms(), made_by=["zhao", "qian"]
    )
    assert verifier().verify(token).made_by == {"zhao", "qian"}
    assert verifier().verify(token_for()).made_by == frozenset()


def test_a_token_lives_five_minutes() -> None:
    at = now_ms()
    _, expires_at_ms = TokenSigner(KEY).sign(account="a", roles=[], audience="dispatch", now_ms=at)
    assert expires_at_ms // 1000 - at // 1000 == 300


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (lambda: token_for(at_ms=now_ms() - 301_000), "expired"),
        (lambda: token_for(at_ms=now_ms() + 60_000), "not one that the registry signed"),
        (lambda: token_for(audience="watchlist"), "audience"),
        (lambda: token_for() + "x", "not one that the registry signed"),
        (lambda: "", "not one that the registry signed"),
        (lambda: "a" * 5_000, "longer"),
        (unsigned, "not one that the registry signed"),
        (signed_by_a_stranger, "not one that the registry signed"),
        (signed_with_the_public_key_as_secret, "not one that the registry signed"),
        (long_lived, "longer than five minutes"),
        (lambda: signed(audience=["dispatch", "watchlist"]), "audience"),
        (lambda: signed(roles=["ROLE_EMPEROR"]), "not one that the registry signed"),
        (lambda: signed(iss="somebody"), "not one that the registry signed"),
    ],
    ids=[
        "expired",
        "not yet valid",
        "for another audience",
        "damaged",
        "empty",
        "huge",
        "algorithm none",
        "another key",
        "public key as HMAC secret",
        "lives a day",
        "for several audiences",
        "unknown role",
        "another issuer",
    ],
)
def test_a_token_that_is_not_right_is_refused(token: Callable[[], str], reason: str) -> None:
    presented = token()
    with pytest.raises(NotAuthenticatedError, match=reason) as refused:
        verifier().verify(presented)
    assert not presented or presented not in str(refused.value)


@given(st.binary(max_size=200))
def test_whatever_is_presented_gives_no_other_error(noise: bytes) -> None:
    body = base64.urlsafe_b64encode(noise).decode().rstrip("=")
    head = base64.urlsafe_b64encode(json.dumps({"alg": "EdDSA"}).encode()).decode().rstrip("=")
    with pytest.raises(NotAuthenticatedError):
        verifier().verify(f"{head}.{body}.{body}")


@pytest.mark.parametrize("kind", [CallerKind.SERVICE, CallerKind.TERMINAL, CallerKind.DEVICE])
def test_a_certificate_names_its_bearer(tmp_path: Path, kind: CallerKind) -> None:
    tls = Authority.create(tmp_path).issue(spiffe(kind, "one"))
    caller = caller_of_certificate(tls.certificate_file.read_bytes())
    assert (caller.kind, caller.name, caller.roles) == (kind, "one", frozenset())
    assert len(caller.certificate_fingerprint) == 64


@pytest.mark.parametrize(
    "uris",
    [
        [],
        ["spiffe://alerthub/service/dispatch", "spiffe://alerthub/service/push"],
        ["spiffe://other/service/dispatch"],
        ["spiffe://alerthub/person/li.wei"],
        ["spiffe://alerthub/anonymous/x"],
        ["spiffe://alerthub/service/"],
        ["spiffe://alerthub/service/a/b"],
        ["https://alerthub/service/dispatch"],
        ["spiffe://alerthub/terminal/" + "x" * 65],
    ],
)
def test_a_certificate_that_names_anything_else_is_refused(tmp_path: Path, uris: list[str]) -> None:
    tls = Authority.create(tmp_path).issue(*uris, file_name="odd")
    with pytest.raises(NotAuthenticatedError):
        caller_of_certificate(tls.certificate_file.read_bytes())


@given(st.lists(st.text(max_size=40), max_size=2))
def test_no_other_uri_is_an_identity(uris: list[str]) -> None:
    with pytest.raises(NotAuthenticatedError):
        parse_spiffe(uris)


TERMINAL = Caller(CallerKind.TERMINAL, "T1", certificate_fingerprint="ab")


@pytest.mark.parametrize(
    ("subject", "caller", "revoked"),
    [
        ("account:li.wei", Caller(CallerKind.PERSON, "li.wei"), True),
        ("account:li.wei", Caller(CallerKind.PERSON, "zhao"), False),
        ("account:T1", TERMINAL, False),
        ("terminal:T1", TERMINAL, True),
        ("certificate:ab", TERMINAL, True),
        ("certificate:cd", TERMINAL, False),
        ("terminal:li.wei", Caller(CallerKind.PERSON, "li.wei"), False),
        ("device:D1", Caller(CallerKind.DEVICE, "D1"), True),
        ("account:", ANONYMOUS, False),
    ],
)
def test_a_revocation_concerns_its_subject_only(subject: str, caller: Caller, revoked: bool) -> None:
    revocations = RevocationList()
    revocations.put(RevocationEntry(subject, 1, 5))
    assert revocations.is_revoked(caller) is revoked


def test_tokens_from_before_the_revocation_stay_dead_after_reinstating() -> None:
    revocations = RevocationList()
    revocations.put(RevocationEntry("account:li.wei", 2, 1_000, reinstated=True))
    before = Caller(CallerKind.PERSON, "li.wei", issued_at_ms=1_000)
    after = Caller(CallerKind.PERSON, "li.wei", issued_at_ms=1_001)
    assert revocations.is_revoked(before)
    assert not revocations.is_revoked(after)


def test_an_older_version_of_a_revocation_changes_nothing() -> None:
    revocations = RevocationList()
    revocations.put(RevocationEntry("terminal:T1", 2, 0))
    revocations.put(RevocationEntry("terminal:T1", 1, 0, reinstated=True))
    assert revocations.is_revoked(TERMINAL)


def test_a_token_of_a_revoked_account_is_refused() -> None:
    revocations = RevocationList()
    revocations.put(RevocationEntry("account:li.wei", 1, now_ms()))
    with pytest.raises(NotAuthenticatedError, match="revoked"):
        verifier(revocations).verify(token_for())


def test_a_record_of_the_topic_revokes_and_its_tombstone_forgets() -> None:
    revocations = RevocationList()
    record = Revocation(subject="terminal:T1", version=1, revoked_at_ms=5)
    revocations.apply("terminal:T1", record.SerializeToString())
    assert revocations.is_revoked(TERMINAL)
    revocations.apply("terminal:T1", None)
    assert not revocations.is_revoked(TERMINAL)


def test_a_record_that_is_no_revocation_is_put_aside() -> None:
    with pytest.raises(DeadLetter):
        RevocationList().apply("terminal:T1", b"\xff")


def test_a_subscriber_hears_of_every_change_until_it_leaves() -> None:
    revocations = RevocationList()
    heard: list[int] = []
    leave = revocations.subscribe(lambda: heard.append(len(revocations)))
    revocations.put(RevocationEntry("terminal:T1", 1, 0))
    leave()
    revocations.put(RevocationEntry("terminal:T2", 1, 0))
    assert heard == [1]
