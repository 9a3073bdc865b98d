"""The gateway's HTTPS door, for whoever speaks for a device: with that device's secret, and nothing else."""

from __future__ import annotations

import ssl
from pathlib import Path
from types import TracebackType

import httpx

from alerthub.domain.errors import AlertHubError, NotAllowed, Refuse, Retry

_REQUEST_SECONDS = 30.0
_LONGEST_WAIT_SECONDS = 60.0
_OF_THE_BODY = frozenset({413, 415, 422})
"""Refusals that the same body would meet again. Whatever else answers may be a proxy before the gateway."""


class GatewayDoor:
    """Posts as one device. An async context manager."""

    def __init__(self, url: str, *, ca_file: Path, device: str, secret_file: Path, adapter: str) -> None:
        self._path = f"/v1/ingest/{adapter}"
        self._device = device
        self._secret_file = secret_file
        self._http = httpx.AsyncClient(
            base_url=url,
            verify=ssl.create_default_context(cafile=str(ca_file)),
            timeout=_REQUEST_SECONDS,
            trust_env=False,
        )

    async def __aenter__(self) -> GatewayDoor:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def post(self, body: bytes, *, content_type: str) -> int:
        """How many events are on Kafka (C1). Retry: the same may be posted again. NotAllowed: the device or
        its secret is refused. Refuse: this body never will be taken."""
        try:
            # Read each time: a secret is replaced while this runs.
            secret = self._secret_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise NotAllowed("secret_file", f"a file that can be read ({type(error).__name__})") from None
        try:
            answer = await self._http.post(
                self._path,
                content=body,
                headers={"content-type": content_type},
                auth=httpx.BasicAuth(self._device, secret),
            )
        except httpx.HTTPError as error:
            raise Retry(f"the gateway does not answer: {type(error).__name__}") from None
        if answer.status_code == httpx.codes.OK:
            try:
                return int(answer.json()["acknowledged"])
            except (ValueError, KeyError, TypeError):
                raise Retry("what answered 200 is no gateway") from None
        refusal = error_of(answer)
        of_the_request = isinstance(refusal, (Retry, NotAllowed)) or answer.status_code in _OF_THE_BODY
        raise refusal if of_the_request else Retry(f"the gateway answered {answer.status_code}")


def error_of(answer: httpx.Response) -> AlertHubError:
    """What the gateway's problem details say (RFC 9457)."""
    status = answer.status_code
    try:
        problem = answer.json()
        detail = str(problem.get("detail") or problem.get("title"))
        errors = [(str(each["field"]), str(each["expected"])) for each in problem.get("errors", [])]
    except (ValueError, KeyError, AttributeError, TypeError):
        return Refuse("--url", f"the address of a gateway; what answered {status} is none")
    if status in (httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.TOO_MANY_REQUESTS):
        after = answer.headers.get("retry-after", "1")
        seconds = float(after) if after.isdigit() else 1.0
        return Retry(detail, after_seconds=min(_LONGEST_WAIT_SECONDS, seconds))
    if status == httpx.codes.UNAUTHORIZED:
        return NotAllowed("--device", "a registered device and its own secret")
    field_name, expected = errors[0] if errors else (f"HTTP {status}", detail)
    return (
        NotAllowed(field_name, expected) if status == httpx.codes.FORBIDDEN else Refuse(field_name, expected)
    )
