"""ONVIF's pull points in SOAP 1.2: the requests of a client, and what a camera answers (Core Specification,
"Real-time Pull-Point Notification Interface"; WS-BaseNotification 1.3; WS-Security UsernameToken 1.1).

Answers come from a device that may be anybody's: bounded, without document type or entities, and nothing that
they name is ever connected to.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from xml.sax.saxutils import escape, quoteattr

from alerthub.device_xml import parse, parser_for
from alerthub.domain.errors import NotAllowed, Refuse, Retry

MAXIMUM_DEPTH = 32
MAXIMUM_ELEMENTS = 20_000
"""Of an answer with some hundred notifications."""
MAXIMUM_MESSAGES = 1_024
_MAXIMUM_TEXT = 512
_MAXIMUM_REFERENCE_BYTES = 8 * 1024
_MAXIMUM_DECLARATIONS = 64

EVENTS = "http://www.onvif.org/ver10/events/wsdl"
_DEVICE = "http://www.onvif.org/ver10/device/wsdl"
_NOTIFICATION = "http://docs.oasis-open.org/wsn/b-2"
_MANAGER = "http://docs.oasis-open.org/wsn/bw-2"
_ADDRESSING = "http://www.w3.org/2005/08/addressing"
_ENVELOPE = "http://www.w3.org/2003/05/soap-envelope"
_SECURITY = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss"
_OWN_PREFIXES = frozenset({"", "soap", "address", "events", "device", "notify", "security", "utility"})
"""Declared anew by a camera they would rename the elements around its own; so would a name without prefix."""

# Faults by the names in them, whatever namespace and case a make gives them.
_NOT_AUTHORISED = frozenset({"notauthorized", "failedauthentication", "operationprohibited"})
_UNKNOWN = frozenset({"resourceunknownfault", "resourceunknown", "invalidsubscription"})


class SubscriptionEnded(Retry):
    """The camera does not know the subscription any more: another one is needed."""


class FaultError(Retry):
    """The camera answered a fault. `names` are the local names in it, in lower case."""

    def __init__(self, names: frozenset[str]) -> None:
        super().__init__("the camera answered with a fault")
        self.names = names


@dataclass(frozen=True, slots=True)
class Address:
    """Where a subscription is reached: an address of the camera's, and what must be said with it."""

    uri: str
    reference: bytes = field(default=b"", repr=False)
    """Elements for the header of each request, as they are (Axis tells subscriptions apart by them)."""
    declared: str = field(default="", repr=False)
    """Declarations of the prefixes in `reference`."""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The answer to CreatePullPointSubscription. `granted_seconds` is 0 where the camera does not say."""

    address: Address
    granted_seconds: float


@dataclass(frozen=True, slots=True)
class Pulled:
    """Notifications as they came, and the declarations of their prefixes."""

    messages: tuple[bytes, ...] = field(repr=False)
    declared: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class UsernameToken:
    """WS-UsernameToken with a digest; `created` is the camera's own time, `nonce` is used once."""

    user: str
    password: str = field(repr=False)
    nonce: bytes = field(repr=False)
    created: datetime

    def as_xml(self) -> str:
        created = self.created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        # SHA-1 is what the standard fixes; it protects the password on the way, and TLS the rest.
        digest = hashlib.sha1(
            self.nonce + created.encode() + self.password.encode("utf-8"), usedforsecurity=False
        ).digest()
        encoded, nonce = (base64.b64encode(part).decode() for part in (digest, self.nonce))
        profile, message = f"{_SECURITY}-username-token-profile-1.0", f"{_SECURITY}-soap-message-security-1.0"
        extension, utility = (f"{_SECURITY}-wssecurity-{name}-1.0.xsd" for name in ("secext", "utility"))
        return (
            f'<security:Security soap:mustUnderstand="true" xmlns:security="{extension}"'
            f' xmlns:utility="{utility}"><security:UsernameToken>'
            f"<security:Username>{escape(self.user)}</security:Username>"
            f'<security:Password Type="{profile}#PasswordDigest">{encoded}</security:Password>'
            f'<security:Nonce EncodingType="{message}#Base64Binary">{nonce}</security:Nonce>'
            f"<utility:Created>{created}</utility:Created>"
            "</security:UsernameToken></security:Security>"
        )


@dataclass(frozen=True, slots=True)
class Request:
    """A request but for who asks: what is done, and with which body."""

    action: str
    body: str

    def envelope(self, to: Address, *, message_id: str, token: UsernameToken | None = None) -> bytes:
        """The whole request. `message_id` is a UUID as a URN."""
        header = (
            f'<address:Action soap:mustUnderstand="true">{self.action}</address:Action>'
            f"<address:MessageID>{message_id}</address:MessageID>"
            f"<address:ReplyTo><address:Address>{_ADDRESSING}/anonymous</address:Address></address:ReplyTo>"
            f'<address:To soap:mustUnderstand="true">{escape(to.uri)}</address:To>'
        )
        return (
            f'<?xml version="1.0" encoding="UTF-8"?><soap:Envelope xmlns:soap="{_ENVELOPE}"'
            f' xmlns:address="{_ADDRESSING}" xmlns:events="{EVENTS}" xmlns:device="{_DEVICE}"'
            f' xmlns:notify="{_NOTIFICATION}"><soap:Header{to.declared}>{header}'
            f"{to.reference.decode()}{token.as_xml() if token else ''}</soap:Header>"
            f"<soap:Body>{self.body}</soap:Body></soap:Envelope>"
        ).encode()


def get_system_date_and_time() -> Request:
    return Request(f"{_DEVICE}/GetSystemDateAndTime", "<device:GetSystemDateAndTime/>")


def get_services() -> Request:
    return Request(
        f"{_DEVICE}/GetServices",
        "<device:GetServices><device:IncludeCapability>false</device:IncludeCapability></device:GetServices>",
    )


def get_capabilities() -> Request:
    """For devices older than GetServices."""
    return Request(
        f"{_DEVICE}/GetCapabilities",
        "<device:GetCapabilities><device:Category>Events</device:Category></device:GetCapabilities>",
    )


def create_pull_point_subscription(seconds: int) -> Request:
    return Request(
        f"{EVENTS}/EventPortType/CreatePullPointSubscriptionRequest",
        "<events:CreatePullPointSubscription><events:InitialTerminationTime>"
        f"PT{seconds}S</events:InitialTerminationTime></events:CreatePullPointSubscription>",
    )


def pull_messages(*, seconds: int, limit: int) -> Request:
    """The camera answers when it has something, else after `seconds`."""
    return Request(
        f"{EVENTS}/PullPointSubscription/PullMessagesRequest",
        f"<events:PullMessages><events:Timeout>PT{seconds}S</events:Timeout>"
        f"<events:MessageLimit>{limit}</events:MessageLimit></events:PullMessages>",
    )


def renew(seconds: int) -> Request:
    return Request(
        f"{_MANAGER}/SubscriptionManager/RenewRequest",
        f"<notify:Renew><notify:TerminationTime>PT{seconds}S</notify:TerminationTime></notify:Renew>",
    )


def unsubscribe() -> Request:
    return Request(f"{_MANAGER}/SubscriptionManager/UnsubscribeRequest", "<notify:Unsubscribe/>")


def read_clock(answer: bytes) -> datetime:
    """The camera's time, UTC."""
    told = _read(answer, "GetSystemDateAndTimeResponse")
    base = "SystemDateAndTime/UTCDateTime"
    names = ("Date/Year", "Date/Month", "Date/Day", "Time/Hour", "Time/Minute", "Time/Second")
    try:
        year, month, day, hour, minute, second = (int(told.texts[f"{base}/{name}"]) for name in names)
        return datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except (KeyError, ValueError):
        raise Refuse("the camera's answer", "UTCDateTime in GetSystemDateAndTimeResponse") from None


def read_event_service(answer: bytes) -> str:
    """Where the camera says that its event service is, from GetServices or GetCapabilities."""
    told = _read(answer, "GetServicesResponse", "GetCapabilitiesResponse")
    found = told.services.get(EVENTS) or told.texts.get("Capabilities/Events/XAddr")
    if not found:
        raise Refuse("the camera's answer", "an event service: this device tells of no events by ONVIF")
    return found


def read_subscription(answer: bytes) -> Subscribed:
    told = _read(answer, "CreatePullPointSubscriptionResponse")
    uri = told.texts.get("SubscriptionReference/Address")
    if not uri:
        raise Refuse("the camera's answer", "SubscriptionReference with an Address")
    return Subscribed(Address(uri, told.reference, told.reference_declared), told.granted_seconds())


def read_messages(answer: bytes) -> Pulled:
    told = _read(answer, "PullMessagesResponse")
    return Pulled(tuple(told.messages), told.declared)


def read_renewal(answer: bytes) -> float:
    """For how many seconds more; 0 where the camera does not say."""
    return _read(answer, "RenewResponse").granted_seconds()


def read_end(answer: bytes) -> None:
    _read(answer, "UnsubscribeResponse")


def notify(messages: Iterable[bytes], declared: str) -> bytes:
    """The notifications as a camera would push them (`Notify`)."""
    return b"".join((f"<Notify{declared}>".encode(), *messages, b"</Notify>"))


def alive(at: datetime) -> bytes:
    """A `Notify` without a notification: the camera answered, and had nothing to tell. Each is another
    document, since the same one twice is a repeat."""
    return f"<Notify><CurrentTime>{at.astimezone(UTC).isoformat()}</CurrentTime></Notify>".encode()


def _read(answer: bytes, *wanted: str) -> _Answer:
    content = answer.removeprefix(b"\xef\xbb\xbf")
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        raise Refuse("the camera's answer", "UTF-8") from None
    told = _Answer(content)
    try:
        parse(told.parser, content)
    except Refuse as error:
        raise Refuse("the camera's answer", error.expected) from None
    if told.name == "Fault":
        raise _error_of(frozenset(told.fault))
    if told.name not in wanted:
        raise Refuse("the camera's answer", f"a SOAP envelope with {' or '.join(wanted)}")
    return told


def _error_of(names: frozenset[str]) -> Exception:
    if names & _NOT_AUTHORISED:
        return NotAllowed("user", "a user of the camera that may read events, with its password")
    if names & _UNKNOWN:
        return SubscriptionEnded("the camera does not know the subscription any more")
    return FaultError(names)


class _Answer:
    """Collects what the answers above hold, by names without prefixes."""

    def __init__(self, content: bytes) -> None:
        self.name = ""
        """Of the body's first element."""
        self.texts: dict[str, str] = {}
        """Of leaves, by their path below that element. The first of repeated ones counts."""
        self.services: dict[str, str] = {}
        self.fault: set[str] = set()
        self.messages: list[bytes] = []
        self.declared = ""
        self.reference = b""
        self.reference_declared = ""
        self.parser = parser_for(self)
        self._content = content
        self._path: list[str] = []
        self._declarations: list[dict[str, str]] = []
        self._elements = 0
        self._parts: list[str] = []
        self._leaf = False
        self._message_begins = -1
        self._reference_begins = -1
        self._namespace = ""

    def granted_seconds(self) -> float:
        """Between the camera's own two times, so that its clock does not matter."""
        begins, ends = (_time(self.texts.get(name, "")) for name in ("CurrentTime", "TerminationTime"))
        if begins is None or ends is None:
            return 0.0
        return max(0.0, (ends - begins).total_seconds())

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._elements += 1
        if self._elements > MAXIMUM_ELEMENTS or len(self._path) >= MAXIMUM_DEPTH:
            raise Refuse("body", f"at most {MAXIMUM_ELEMENTS} elements, {MAXIMUM_DEPTH} deep")
        local = _local(name)
        self._path.append(local)
        self._declarations.append(
            {key: value for key, value in attributes.items() if key == "xmlns" or key.startswith("xmlns:")}
        )
        self._parts.clear()
        self._leaf = True
        at = self.parser.CurrentByteIndex
        if len(self._path) == 3 and self._path[:2] == ["Envelope", "Body"] and not self.name:
            self.name = local
        elif len(self._path) == 4 and local == "NotificationMessage":
            if len(self.messages) >= MAXIMUM_MESSAGES:
                raise Refuse("body", f"at most {MAXIMUM_MESSAGES} notifications")
            self._message_begins = at
        elif self._path[3:5] == ["SubscriptionReference", "ReferenceParameters"] and len(self._path) == 6:
            self._reference_begins = at if self._reference_begins < 0 else self._reference_begins
        if self.name == "Fault":
            self.fault.add(local.lower())

    def text(self, data: str) -> None:
        self._parts.append(data)

    def end(self, name: str) -> None:
        local = self._path[-1]
        at = self.parser.CurrentByteIndex
        if self._leaf and len(self._path) > 3:
            self._note("/".join(self._path[3:]), "".join(self._parts).strip())
        if len(self._path) == 4 and local == "NotificationMessage" and at > self._message_begins:
            self.messages.append(self._content[self._message_begins : self._content.index(b">", at) + 1])
            self.declared = self.declared or self._declared(3, frozenset())
        elif (
            self._path[3:] == ["SubscriptionReference", "ReferenceParameters"] and self._reference_begins >= 0
        ):
            self.reference = self._content[self._reference_begins : at]
            self.reference_declared = self._declared(5, _OWN_PREFIXES)
            if len(self.reference) > _MAXIMUM_REFERENCE_BYTES:
                raise Refuse("body", f"ReferenceParameters of at most {_MAXIMUM_REFERENCE_BYTES} bytes")
        self._leaf = False
        self._parts.clear()
        self._path.pop()
        self._declarations.pop()

    def _note(self, path: str, value: str) -> None:
        if not value or len(value) > _MAXIMUM_TEXT:
            return
        if self.name == "Fault":
            self.fault.add(_local(value).lower())
        elif path == "Service/Namespace":
            self._namespace = value
        elif path == "Service/XAddr":
            self.services.setdefault(self._namespace, value)
        elif not path.startswith("NotificationMessage/"):
            self.texts.setdefault(path, value)

    def _declared(self, levels: int, without: frozenset[str]) -> str:
        """The declarations in force at the innermost of the open elements, as attributes."""
        found: dict[str, str] = {}
        for level in self._declarations[:levels]:
            found |= {
                key: value
                for key, value in level.items()
                if key.partition(":")[2] not in without and len(key) + len(value) <= _MAXIMUM_TEXT
            }
        if len(found) > _MAXIMUM_DECLARATIONS:
            raise Refuse("body", f"at most {_MAXIMUM_DECLARATIONS} declarations of namespaces")
        return "".join(f" {key}={quoteattr(value)}" for key, value in found.items())


def _local(name: str) -> str:
    return name.rpartition(":")[2]


_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d{1,9})?(Z|[+-]\d\d:\d\d)?")


def _time(value: str) -> datetime | None:
    found = _TIME.fullmatch(value)
    if found is None:
        return None
    try:
        time = datetime.fromisoformat(found[1] + (found[2] or "Z"))
    except ValueError:
        return None
    return time
