"""A camera that offers pull points and nothing else, on a socket of the loopback: it signs people in, forgets
a message when it hands it out and subscriptions when they end or it restarts, and can be made hostile."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from defusedxml.ElementTree import fromstring

PASSWORD = "a camera's own password"  # noqa: S105
SOAP = "application/soap+xml; charset=utf-8"
_NAMES = {
    "soap": "http://www.w3.org/2003/05/soap-envelope",
    "wsa5": "http://www.w3.org/2005/08/addressing",
    "tev": "http://www.onvif.org/ver10/events/wsdl",
    "tds": "http://www.onvif.org/ver10/device/wsdl",
    "wsnt": "http://docs.oasis-open.org/wsn/b-2",
    "tt": "http://www.onvif.org/ver10/schema",
    "tns1": "http://www.onvif.org/ver10/topics",
}
_DIGEST = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]+))')


@dataclass
class PullPointQueue:
    ends: float
    waiting: deque[str] = field(default_factory=deque)


@dataclass
class Answer:
    """What a camera answers instead."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


def crossed(object_id: int, *, rule: str = "North gate") -> str:
    """A notification that somebody crossed a line."""
    return (
        '<wsnt:NotificationMessage><wsnt:Topic Dialect="http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet">'
        "tns1:RuleEngine/LineDetector/Crossed</wsnt:Topic><wsnt:Message>"
        f'<tt:Message UtcTime="{_text(datetime.now(UTC))}" PropertyOperation="Changed">'
        f'<tt:Source><tt:SimpleItem Name="Rule" Value="{rule}"/></tt:Source>'
        f'<tt:Data><tt:SimpleItem Name="ObjectId" Value="{object_id}"/></tt:Data>'
        "</tt:Message></wsnt:Message></wsnt:NotificationMessage>"
    )


def envelope(body: str) -> bytes:
    names = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in _NAMES.items())
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<soap:Envelope{names}><soap:Header/>'
        f"<soap:Body>{body}</soap:Body></soap:Envelope>"
    ).encode()


def fault(subcode: str, *, namespace: str = "wsnt") -> bytes:
    return envelope(
        "<soap:Fault><soap:Code><soap:Value>soap:Sender</soap:Value><soap:Subcode>"
        f"<soap:Value>{namespace}:{subcode}</soap:Value></soap:Subcode></soap:Code>"
        '<soap:Reason><soap:Text xml:lang="en">no</soap:Text></soap:Reason></soap:Fault>'
    )


def _text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


class OnvifDevice:
    """Started with `start`, also again at the same port. `instead` gives other answers, by operation."""

    def __init__(self, *, authentication: str = "digest", clock_ahead: float = 0.0) -> None:
        self.authentication = authentication
        self.instead: dict[str, Callable[[], Answer]] = {}
        self.asked: list[str] = []
        self.named_host = ""
        """In addresses that the camera tells; empty: its own."""
        self.by_reference = False
        """Whether subscriptions are told apart by a parameter, as Axis does, or by their address."""
        self.granted_seconds: float | None = None
        self._ahead = timedelta(seconds=clock_ahead)
        self._changed = threading.Condition()
        self._points: dict[str, PullPointQueue] = {}
        self._nonces: set[str] = set()
        self._server: ThreadingHTTPServer | None = None
        self.port = 0

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def subscriptions(self) -> int:
        with self._changed:
            return len(self._points)

    def start(self) -> OnvifDevice:
        device = self

        class Handler(_Handler):
            camera = device

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Its power is cut: what waited is forgotten."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
        with self._changed:
            self._points.clear()
            self._changed.notify_all()

    def tell(self, *messages: str) -> None:
        """Something happens in front of it. Without a subscription nobody ever hears of it."""
        with self._changed:
            for point in self._points.values():
                point.waiting.extend(messages)
            self._changed.notify_all()

    def wait_until_subscribed(self, seconds: float = 20.0) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._points, seconds), "nobody subscribed"

    def wait_until_asked(self, operation: str, times: int = 1, seconds: float = 20.0) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.asked.count(operation) >= times, seconds), self.asked

    def wait_until_handed_out(self, seconds: float = 20.0) -> None:
        with self._changed:
            assert self._changed.wait_for(
                lambda: self._points and not any(point.waiting for point in self._points.values()), seconds
            ), "nobody pulled"

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def answer(self, path: str, document: Any) -> Answer:
        body = document.find("{*}Body")
        operation = body[0].tag.rpartition("}")[2]
        with self._changed:
            self.asked.append(operation)
            self._changed.notify_all()
        if operation in self.instead:
            return self.instead[operation]()
        signs = self.authentication == "ws-security" and operation != "GetSystemDateAndTime"
        if signs and not self._is_signed(document):
            return Answer(fault("NotAuthorized", namespace="ter"), 400)
        found = document.find(".//{*}SubscriptionId")
        return self._operate(operation, path if found is None else str(found.text), body[0])

    def _operate(self, operation: str, name: str, asked: Any) -> Answer:
        host = self.named_host or f"127.0.0.1:{self.port}"
        match operation:
            case "GetSystemDateAndTime":
                now = self.now()
                return Answer(
                    envelope(
                        "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:UTCDateTime>"
                        f"<tt:Time><tt:Hour>{now.hour}</tt:Hour><tt:Minute>{now.minute}</tt:Minute>"
                        f"<tt:Second>{now.second}</tt:Second></tt:Time><tt:Date><tt:Year>{now.year}</tt:Year>"
                        f"<tt:Month>{now.month}</tt:Month><tt:Day>{now.day}</tt:Day></tt:Date>"
                        "</tt:UTCDateTime></tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>"
                    )
                )
            case "GetServices":
                return Answer(
                    envelope(
                        "<tds:GetServicesResponse><tds:Service>"
                        f"<tds:Namespace>{_NAMES['tds']}</tds:Namespace><tds:XAddr>http://{host}/d</tds:XAddr>"
                        f"</tds:Service><tds:Service><tds:Namespace>{_NAMES['tev']}</tds:Namespace>"
                        f"<tds:XAddr>http://{host}/onvif/events</tds:XAddr></tds:Service>"
                        "</tds:GetServicesResponse>"
                    )
                )
            case "GetCapabilities":
                return Answer(
                    envelope(
                        "<tds:GetCapabilitiesResponse><tds:Capabilities><tt:Events>"
                        f"<tt:XAddr>http://{host}/onvif/events</tt:XAddr>"
                        "</tt:Events></tds:Capabilities></tds:GetCapabilitiesResponse>"
                    )
                )
            case "CreatePullPointSubscription":
                return self._subscribe(host)
            case "PullMessages":
                return self._pull(name, asked)
            case "Renew" if self._prolong(name):
                return Answer(envelope(f"<wsnt:RenewResponse>{self._times(name)}</wsnt:RenewResponse>"))
            case "Unsubscribe" if self._forget(name):
                return Answer(envelope("<wsnt:UnsubscribeResponse/>"))
        return Answer(fault("ResourceUnknownFault"), 500)

    def _subscribe(self, host: str) -> Answer:
        number = secrets.token_hex(4)
        name, address = (
            (number, f"http://{host}/onvif/manager")
            if self.by_reference
            else (f"/onvif/manager?point={number}", f"http://{host}/onvif/manager?point={number}")
        )
        reference = (
            '<wsa5:ReferenceParameters><axis:SubscriptionId xmlns:axis="urn:axis">'
            f"{number}</axis:SubscriptionId></wsa5:ReferenceParameters>"
        )
        with self._changed:
            self._points[name] = PullPointQueue(time.monotonic() + self._lease())
            self._changed.notify_all()
        return Answer(
            envelope(
                "<tev:CreatePullPointSubscriptionResponse><tev:SubscriptionReference>"
                f"<wsa5:Address>{address}</wsa5:Address>{reference if self.by_reference else ''}"
                f"</tev:SubscriptionReference>{self._times(name)}</tev:CreatePullPointSubscriptionResponse>"
            )
        )

    def _lease(self) -> float:
        return self.granted_seconds or 60.0

    def _times(self, name: str) -> str:
        now = self.now()
        ends = now + timedelta(seconds=self._lease())
        return (
            f"<wsnt:CurrentTime>{_text(now)}</wsnt:CurrentTime>"
            f"<wsnt:TerminationTime>{_text(ends)}</wsnt:TerminationTime>"
        )

    def _living(self, name: str) -> PullPointQueue | None:
        point = self._points.get(name)
        if point is not None and point.ends < time.monotonic():
            del self._points[name]
            return None
        return point

    def _pull(self, name: str, asked: Any) -> Answer:
        seconds = int(asked.find("{*}Timeout").text.removeprefix("PT").removesuffix("S"))
        limit = int(asked.find("{*}MessageLimit").text)
        with self._changed:
            self._changed.wait_for(lambda: (point := self._living(name)) is None or point.waiting, seconds)
            point = self._living(name)
            if point is None:
                return Answer(fault("ResourceUnknownFault"), 500)
            told = [point.waiting.popleft() for _ in range(min(limit, len(point.waiting)))]
            self._changed.notify_all()
        now = self.now()
        return Answer(
            envelope(
                f"<tev:PullMessagesResponse><tev:CurrentTime>{_text(now)}</tev:CurrentTime>"
                f"<tev:TerminationTime>{_text(now + timedelta(seconds=60))}</tev:TerminationTime>"
                f"{''.join(told)}</tev:PullMessagesResponse>"
            )
        )

    def _prolong(self, name: str) -> bool:
        with self._changed:
            point = self._living(name)
            if point is not None:
                point.ends = time.monotonic() + self._lease()
            return point is not None

    def _forget(self, name: str) -> bool:
        with self._changed:
            found = self._points.pop(name, None)
            self._changed.notify_all()
            return found is not None

    def _is_signed(self, document: Any) -> bool:
        said = {
            name: str(document.findtext(f".//{{*}}UsernameToken/{{*}}{name}", ""))
            for name in ("Username", "Password", "Nonce", "Created")
        }
        if said["Username"] != "hub" or said["Nonce"] in self._nonces:
            return False
        created = datetime.fromisoformat(said["Created"])
        if abs(self.now() - created) > timedelta(seconds=5):
            return False
        self._nonces.add(said["Nonce"])
        wanted = base64.b64decode(said["Nonce"]) + said["Created"].encode() + PASSWORD.encode()
        digest = hashlib.sha1(wanted, usedforsecurity=False).digest()
        return said["Password"] == base64.b64encode(digest).decode()


class _Handler(BaseHTTPRequestHandler):
    camera: OnvifDevice
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.camera.authentication == "digest" and not self._is_digest():
            challenge = 'Digest realm="camera", qop="auth", algorithm=MD5, nonce="n0nce", opaque="o"'
            self._send(Answer(b"", 401, {"www-authenticate": challenge}))
            return
        self._send(self.camera.answer(self.path, fromstring(body)))

    def _is_digest(self) -> bool:
        header = self.headers.get("authorization", "")
        if not header.startswith("Digest "):
            return False
        said: dict[str, str] = {name: quoted or plain for name, quoted, plain in _DIGEST.findall(header)}

        def md5(*parts: str) -> str:
            return hashlib.md5(":".join(parts).encode(), usedforsecurity=False).hexdigest()

        wanted = md5(
            md5(said["username"], "camera", PASSWORD),
            "n0nce",
            said["nc"],
            said["cnonce"],
            "auth",
            md5("POST", self.path),
        )
        return said["username"] == "hub" and said["uri"] == self.path and said["response"] == wanted

    def _send(self, answer: Answer) -> None:
        try:
            self.send_response(answer.status)
            for name, value in ({"content-type": SOAP} | answer.headers).items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Says nothing."""
