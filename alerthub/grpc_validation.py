"""Requests are held against the rules in the protos (buf.validate) before a handler sees them; no value is
told.

protovalidate for Python interprets every rule as CEL: 4 ms for a patrol terminal's command, 40 ms for a
device's event. So the standard rules that our protos use are compiled once to plain comparisons, some hundred
times as fast, and a message that has any other rule goes to protovalidate itself.
`tests/contract/test_core_validation.py` holds the two against each other for every request of the wire.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from alerthub.grpc_errors import FieldViolation
from buf.validate import validate_pb2

ValueCheck = Callable[[Any], str | None]
"""None when the value is as expected, else what is."""
MessageCheck = Callable[[Any], Iterable[FieldViolation]]

_UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_NUMBERS = {
    "double", "float", "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64",
    "sfixed32", "sfixed64",
}  # fmt: skip


class UnsupportedRuleError(Exception):
    """A rule that is not compiled here."""


def violations_of(message: Message) -> list[FieldViolation]:
    """What is wrong with `message`: the fields by name and what each expects. Empty: nothing."""
    checks = compiled(message.DESCRIPTOR)
    if checks is None:
        return interpreted(message)
    return [violation for check in checks for violation in check(message)]


def interpreted(message: Message) -> list[FieldViolation]:
    """The same by protovalidate, whatever the rules are."""
    return [
        FieldViolation(_path(violation.proto.field), violation.proto.message or violation.proto.rule_id)
        for violation in _validator().collect_violations(message)
    ]


@lru_cache(maxsize=1)
def _validator() -> Any:
    # Imported only when it is needed: the interpreter of CEL takes half a second to load.
    import protovalidate

    return protovalidate.Validator()  # type: ignore[no-untyped-call]


def _path(path: validate_pb2.FieldPath) -> str:
    """`resources[3].device.name`. A map's key is the caller's text, so it is left out."""
    parts = []
    for element in path.elements:
        index = f"[{element.index}]" if element.HasField("index") else ""
        parts.append(f"{element.field_name}{index}")
    return ".".join(parts) or "request"


@lru_cache(maxsize=1024)
def compiled(descriptor: Descriptor) -> tuple[MessageCheck, ...] | None:
    """The checks of a message; None when it, or a message inside it, has a rule that is not compiled here."""
    try:
        return _compile(descriptor, ())
    except UnsupportedRuleError:
        return None


def _compile(descriptor: Descriptor, above: tuple[str, ...]) -> tuple[MessageCheck, ...]:
    if descriptor.full_name in above:
        raise UnsupportedRuleError("a message inside itself")
    if descriptor.GetOptions().HasExtension(validate_pb2.message):
        raise UnsupportedRuleError("rules of a whole message")
    checks: list[MessageCheck] = []
    for oneof in descriptor.oneofs:
        options = oneof.GetOptions()
        if options.HasExtension(validate_pb2.oneof) and options.Extensions[validate_pb2.oneof].required:
            checks.append(_required_oneof(oneof.name))
    for field in descriptor.fields:
        checks += _field_checks(field, (*above, descriptor.full_name))
    return tuple(checks)


def _field_checks(field: FieldDescriptor, above: tuple[str, ...]) -> list[MessageCheck]:
    checks: list[MessageCheck] = []
    options = field.GetOptions()
    if options.HasExtension(validate_pb2.field):
        rules = options.Extensions[validate_pb2.field]
        allowed: set[str] = {"required", rules.WhichOneof("type") or "required"}
        _only(rules, allowed)
        if rules.required:
            checks.append(_required(field))
        if field.is_repeated:
            checks += _repeated(field, rules)
        else:
            checks += [_single(field, check) for check in _value_checks(field, rules)]
    if field.message_type is None:
        return checks
    if field.message_type.GetOptions().map_entry:
        raise UnsupportedRuleError("a map")
    inner = _compile(field.message_type, above)
    if inner:
        checks.append(_inside_each(field.name, inner) if field.is_repeated else _inside(field.name, inner))
    return checks


def _only(rules: Message, allowed: set[str]) -> None:
    for known, _ in rules.ListFields():
        if known.name not in allowed:
            raise UnsupportedRuleError(f"{rules.DESCRIPTOR.name}.{known.name}")


def _required_oneof(name: str) -> MessageCheck:
    wrong = (FieldViolation(name, "exactly one of its fields is required"),)
    return lambda message: () if message.WhichOneof(name) else wrong


def _required(field: FieldDescriptor) -> MessageCheck:
    name = field.name
    wrong = (FieldViolation(name, "a value is required"),)
    if field.has_presence:
        return lambda message: () if message.HasField(name) else wrong
    return lambda message: () if getattr(message, name) else wrong


def _single(field: FieldDescriptor, check: ValueCheck) -> MessageCheck:
    name = field.name

    def always(message: Any) -> Iterable[FieldViolation]:
        expected = check(getattr(message, name))
        return () if expected is None else (FieldViolation(name, expected),)

    if not field.has_presence:
        return always
    return lambda message: always(message) if message.HasField(name) else ()


def _repeated(field: FieldDescriptor, rules: validate_pb2.FieldRules) -> list[MessageCheck]:
    repeated = rules.repeated
    _only(repeated, {"min_items", "max_items", "items"})
    name = field.name
    least = repeated.min_items
    most = repeated.max_items if repeated.HasField("max_items") else None
    item_checks = _value_checks(field, repeated.items) if repeated.HasField("items") else []
    if repeated.HasField("items"):
        _only(repeated.items, {repeated.items.WhichOneof("type") or ""})

    def count(message: Any) -> Iterable[FieldViolation]:
        length = len(getattr(message, name))
        if length < least:
            return (FieldViolation(name, f"must have at least {least} items"),)
        if most is not None and length > most:
            return (FieldViolation(name, f"must have at most {most} items"),)
        return ()

    def each(message: Any) -> Iterable[FieldViolation]:
        for index, item in enumerate(getattr(message, name)):
            for check in item_checks:
                expected = check(item)
                if expected is not None:
                    yield FieldViolation(f"{name}[{index}]", expected)

    return [count, each] if item_checks else [count]


def _inside(name: str, inner: tuple[MessageCheck, ...]) -> MessageCheck:
    def check(message: Any) -> Iterable[FieldViolation]:
        if message.HasField(name):
            value = getattr(message, name)
            for inner_check in inner:
                for violation in inner_check(value):
                    yield FieldViolation(f"{name}.{violation.field}", violation.expected)

    return check


def _inside_each(name: str, inner: tuple[MessageCheck, ...]) -> MessageCheck:
    def check(message: Any) -> Iterable[FieldViolation]:
        for index, value in enumerate(getattr(message, name)):
            for inner_check in inner:
                for violation in inner_check(value):
                    yield FieldViolation(f"{name}[{index}].{violation.field}", violation.expected)

    return check


def _value_checks(field: FieldDescriptor, rules: validate_pb2.FieldRules) -> list[ValueCheck]:
    """The checks of one scalar value."""
    kind = rules.WhichOneof("type")
    if kind is None:
        return []
    of_kind = getattr(rules, kind)
    if kind in _NUMBERS:
        return _number_checks(of_kind)
    match kind:
        case "string":
            return _string_checks(of_kind)
        case "bytes":
            _only(of_kind, {"min_len", "max_len"})
            return _length_checks(of_kind, "bytes")
        case "enum":
            return _enum_checks(field, of_kind)
        case _:
            raise UnsupportedRuleError(kind)


def _number_checks(rules: Any) -> list[ValueCheck]:
    _only(rules, {"gt", "gte", "lt", "lte"})
    lower = rules.WhichOneof("greater_than")
    upper = rules.WhichOneof("less_than")
    if lower and upper and getattr(rules, lower) >= getattr(rules, upper):
        raise UnsupportedRuleError("a range turned inside out")
    # The comparisons are written so that NaN, which compares to nothing, is never as expected.
    comparisons: dict[str, Callable[[Any], ValueCheck]] = {
        "gt": lambda limit: lambda value: None if value > limit else f"must be greater than {limit:g}",
        "gte": lambda limit: lambda value: None if value >= limit else f"must be at least {limit:g}",
        "lt": lambda limit: lambda value: None if value < limit else f"must be less than {limit:g}",
        "lte": lambda limit: lambda value: None if value <= limit else f"must be at most {limit:g}",
    }
    return [comparisons[name](getattr(rules, name)) for name in (lower, upper) if name]


def _length_checks(rules: Any, unit: str) -> list[ValueCheck]:
    checks: list[ValueCheck] = []
    if rules.HasField("min_len"):
        least: int = rules.min_len
        too_short = f"must have at least {least} {unit}"
        checks.append(lambda value: None if len(value) >= least else too_short)
    if rules.HasField("max_len"):
        most: int = rules.max_len
        too_long = f"must have at most {most} {unit}"
        checks.append(lambda value: None if len(value) <= most else too_long)
    return checks


def _string_checks(rules: validate_pb2.StringRules) -> list[ValueCheck]:
    _only(rules, {"min_len", "max_len", "pattern", "uuid", "in"})
    checks = _length_checks(rules, "characters")
    if rules.HasField("pattern"):
        matches = _as_python(rules.pattern).search
        unmatched = f"must match {rules.pattern}"
        checks.append(lambda value: None if matches(value) else unmatched)
    if rules.uuid:
        checks.append(lambda value: None if _UUID.fullmatch(value) else "must be a UUID")
    listed = frozenset(getattr(rules, "in"))
    if listed:
        unlisted = f"must be one of {', '.join(sorted(listed))}"
        checks.append(lambda value: None if value in listed else unlisted)
    return checks


def _as_python(pattern: str) -> re.Pattern[str]:
    """RE2's pattern in Python's words. Raises UnsupportedRuleError where the two may differ."""
    body = pattern.removesuffix("$")
    if "$" in body or body.endswith("\\") or re.search(r"\\[^.\-]|\(\?|\[\[:", body):
        raise UnsupportedRuleError("a pattern that Python may read otherwise")
    # Python's $ also matches before a newline at the end.
    return re.compile(body + (r"\Z" if body != pattern else ""), re.ASCII)


def _enum_checks(field: FieldDescriptor, rules: validate_pb2.EnumRules) -> list[ValueCheck]:
    _only(rules, {"not_in", "defined_only"})
    checks: list[ValueCheck] = []
    if rules.not_in:
        refused = frozenset(rules.not_in)
        checks.append(lambda value: "must be given" if value in refused else None)
    if rules.defined_only and field.enum_type is not None:
        defined = frozenset(field.enum_type.values_by_number)
        checks.append(lambda value: None if value in defined else "must be one of the values that exist")
    return checks
