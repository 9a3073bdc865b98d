"""HTTP Digest (RFC 7616) for devices that can do nothing better: challenges, answers, and the password that a
device answers with.

That password is not the device's secret: whoever verifies a digest needs something that is as good as the
password, and of secrets only a hash is kept. So it is derived from that hash under a key that gateways alone
have. It changes with the secret and is stored nowhere.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, field

REALM = "alerthub"
NONCE_LIFE_MS = 5 * 60_000
"""A camera with a slow clock is not concerned: the gateway's own clock dates nonces."""
NONCE_USES = 1_000
"""Requests with one nonce: three a second for its life."""
PASSWORD_CHARACTERS = 16
"""What cameras take at most; 96 bits."""
_MAXIMUM_HEADER = 1_024
_NONCE_TIME_BYTES = 8
_NONCE_RANDOM_BYTES = 8
_NONCE_PROOF_BYTES = 16
_PARAMETER = re.compile(r'\s*([A-Za-z]{1,16})\s*=\s*(?:"((?:[^"\\]|\\.){0,512})"|([^\s",]{1,512}))\s*(?:,|$)')
_COUNT = re.compile(r"[0-9A-Fa-f]{8}")


def _md5(content: bytes) -> str:
    # RFC 7616 keeps it for clients that know no other, which most cameras are. It stays within TLS here.
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


_ALGORITHMS: dict[str, Callable[[bytes], str]] = {"SHA-256": _sha256, "MD5": _md5}
"""The stronger first: a client takes the first that it knows."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client says to a challenge."""

    username: str
    nonce: str
    uri: str = field(repr=False)
    response: str = field(repr=False)
    algorithm: str
    count: int
    """How often the client has used the nonce, this time included."""
    count_text: str
    client_nonce: str


def answer_of(header: str) -> Answer | None:
    """The answer in an `Authorization` header; None where it is none to this realm with `qop=auth`."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "digest" or len(header) > _MAXIMUM_HEADER:
        return None
    said: dict[str, str] = {}
    at = 0
    while at < len(rest):
        found = _PARAMETER.match(rest, at)
        if found is None:
            return None
        name, quoted, bare = found.groups()
        value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare
        if said.setdefault(name.lower(), value) != value:
            return None
        at = found.end()
    algorithm = said.get("algorithm", "MD5").upper()
    count = said.get("nc", "")
    if (
        said.get("realm") != REALM
        or said.get("qop") != "auth"
        or algorithm not in _ALGORITHMS
        or _COUNT.fullmatch(count) is None
        or not all(said.get(name) for name in ("username", "nonce", "uri", "response", "cnonce"))
    ):
        return None
    return Answer(
        said["username"],
        said["nonce"],
        said["uri"],
        said["response"].lower(),
        algorithm,
        int(count, 16),
        count,
        said["cnonce"],
    )


def expected_response(answer: Answer, password: str, *, method: str, realm: str = REALM) -> str:
    """What the answer must be if its sender knows the password (RFC 7616, section 3.4.1)."""
    digest = _ALGORITHMS[answer.algorithm]
    first = digest(f"{answer.username}:{realm}:{password}".encode())
    second = digest(f"{method}:{answer.uri}".encode())
    return digest(f"{first}:{answer.nonce}:{answer.count_text}:{answer.client_nonce}:auth:{second}".encode())


def password_of(key: bytes, device_id: str, secret_sha256: bytes) -> str:
    """The Digest password of a device whose secret has this hash."""
    return base64.urlsafe_b64encode(_keyed(key, b"password", device_id.encode(), secret_sha256)).decode()[
        :PASSWORD_CHARACTERS
    ]


def nonce_of(key: bytes, *, now_ms: int, random: bytes) -> str:
    """A nonce of this moment; `random` is 8 bytes."""
    told = now_ms.to_bytes(_NONCE_TIME_BYTES, "big") + random
    proof = _keyed(key, b"nonce", told)[:_NONCE_PROOF_BYTES]
    return base64.urlsafe_b64encode(told + proof).decode()


def is_fresh(key: bytes, nonce: str, *, now_ms: int) -> bool:
    """Whether a gateway with this key gave the nonce, and not too long ago."""
    try:
        content = base64.b64decode(nonce.encode(), altchars=b"-_", validate=True)
    except ValueError:
        return False
    told, proof = content[:-_NONCE_PROOF_BYTES], content[-_NONCE_PROOF_BYTES:]
    if len(told) != _NONCE_TIME_BYTES + _NONCE_RANDOM_BYTES:
        return False
    if not hmac.compare_digest(proof, _keyed(key, b"nonce", told)[:_NONCE_PROOF_BYTES]):
        return False
    given_ms = int.from_bytes(told[:_NONCE_TIME_BYTES], "big")
    return given_ms <= now_ms < given_ms + NONCE_LIFE_MS


def challenges(nonce: str, *, stale: bool) -> tuple[str, ...]:
    """Values of `WWW-Authenticate`, one an algorithm."""
    end = ", stale=true" if stale else ""
    return tuple(
        f'Digest realm="{REALM}", qop="auth", algorithm={name}, nonce="{nonce}", charset=UTF-8{end}'
        for name in _ALGORITHMS
    )


def _keyed(key: bytes, purpose: bytes, *parts: bytes) -> bytes:
    made = hmac.new(key, b"alerthub http digest " + purpose, hashlib.sha256)
    for part in parts:
        made.update(len(part).to_bytes(4, "big") + part)
    return made.digest()
