"""The tokens of persons: renewed while they are good, once where one is refused, gone with their session."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from console_parts import Clock
from grpc.aio import AioRpcError, Metadata

from alerthub.api.v1 import access_pb2, registry_pb2
from alerthub.domain.denials import Denial
from alerthub.domain.errors import Conflict, Retry
from alerthub.grpc_errors import wire_error
from alerthub.identity import NotAuthenticatedError
from services.console.backends import Backends
from services.console.sessions import Session

FIVE_MINUTES_MS = 300_000


def failed(code: grpc.StatusCode) -> AioRpcError:
    return AioRpcError(code, Metadata(), Metadata(), details="told")


class Registry:
    """Gives tokens that say which they are."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.given: list[str] = []
        self.failure: AioRpcError | None = None

    async def RenewToken(self, request: Any, *, timeout: float) -> Any:  # noqa: N802
        if self.failure is not None:
            raise self.failure
        self.given.append(f"{request.audience}-{len(self.given)}")
        return registry_pb2.RenewTokenResponse(
            token=self.given[-1],
            expires_at_ms=self._clock.now_ms + FIVE_MINUTES_MS,
            roles=[access_pb2.ROLE_SUPERVISOR],
        )


class Bench:
    def __init__(self) -> None:
        self.clock = Clock()
        self.registry = Registry(self.clock)
        self.session = Session("li", frozenset({access_pb2.ROLE_OPERATOR}), "renewal", "csrf", 0, 2**60, 0)
        backends = Backends.__new__(Backends)
        backends._timeout, backends._now_ms = 1.0, self.clock
        backends._sessions = self.registry  # type: ignore[assignment]
        self.backends = backends
        self.seen: list[str] = []
        self.failures: list[AioRpcError] = []

    async def call(self, audience: str = "dispatch") -> str:
        async def method(request: str, *, metadata: tuple[tuple[str, str], ...], timeout: float) -> str:
            self.seen.append(dict(metadata)["authorization"])
            if self.failures:
                raise self.failures.pop(0)
            return "answer"

        return await self.backends.call(self.session, audience, method, "request")  # type: ignore[arg-type]


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_calls_are_made_with_the_persons_token_for_that_service(bench: Bench) -> None:
    await bench.call("dispatch")
    await bench.call("watchlist")
    assert bench.seen == ["Bearer dispatch-0", "Bearer watchlist-1"]


async def test_a_token_is_used_until_it_is_nearly_over(bench: Bench) -> None:
    await bench.call()
    bench.clock.now_ms += FIVE_MINUTES_MS - 46_000
    await bench.call()
    assert bench.registry.given == ["dispatch-0"]
    bench.clock.now_ms += 1_000
    await bench.call()
    assert bench.seen[-1] == "Bearer dispatch-1"


async def test_the_roles_are_those_of_the_newest_token(bench: Bench) -> None:
    await bench.call()
    assert bench.session.roles == {access_pb2.ROLE_SUPERVISOR}


async def test_a_token_that_is_refused_is_renewed_once(bench: Bench) -> None:
    bench.failures = [failed(grpc.StatusCode.UNAUTHENTICATED)]
    assert await bench.call() == "answer"
    bench.failures = [failed(grpc.StatusCode.UNAUTHENTICATED)] * 2
    with pytest.raises(NotAuthenticatedError):
        await bench.call()
    assert not bench.session.ended


async def test_where_the_registry_gives_no_token_the_session_is_over(bench: Bench) -> None:
    bench.registry.failure = failed(grpc.StatusCode.UNAUTHENTICATED)
    with pytest.raises(NotAuthenticatedError):
        await bench.call()
    assert bench.session.ended
    assert bench.seen == []


async def test_a_registry_that_does_not_answer_ends_no_session(bench: Bench) -> None:
    bench.registry.failure = failed(grpc.StatusCode.UNAVAILABLE)
    with pytest.raises(Retry):
        await bench.call()
    assert not bench.session.ended


async def test_a_token_that_arrives_after_the_session_ended_is_not_used(bench: Bench) -> None:
    bench.session.end(Denial.SESSION_REVOKED)
    with pytest.raises(NotAuthenticatedError):
        await bench.call()
    assert bench.seen == []
    assert not bench.session.tokens


async def test_what_a_service_refuses_keeps_its_field(bench: Bench) -> None:
    told = wire_error(Conflict("alert_version", "the alert as it is now"))
    bench.failures = [
        AioRpcError(told.code, Metadata(), Metadata(*told.trailing_metadata()), details=told.text)
    ]
    with pytest.raises(Conflict) as refused:
        await bench.call()
    assert refused.value.field == "alert_version"


def test_tokens_are_not_in_what_is_printed() -> None:
    session = SimpleNamespace(bench=Bench()).bench.session
    session.tokens["dispatch"] = ("secret-token", 1)
    assert "secret-token" not in repr(session)
    assert "renewal" not in repr(session)
