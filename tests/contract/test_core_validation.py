"""The compiled rules say what protovalidate says, for every message of the wire that is a request."""

from __future__ import annotations

import importlib
import pkgutil
import uuid
from typing import Any

import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import alerthub.api.v1
from alerthub.api.v1 import patrol_pb2
from alerthub.grpc_validation import compiled, interpreted, violations_of
from buf.validate import validate_pb2

SERVICES = [
    service
    for found in pkgutil.iter_modules(alerthub.api.v1.__path__)
    if not found.name.endswith("_grpc")
    for module in [importlib.import_module(f"alerthub.api.v1.{found.name}")]
    for service in module.DESCRIPTOR.services_by_name.values()
]
REQUESTS: dict[str, Descriptor] = {
    method.input_type.full_name: method.input_type for service in SERVICES for method in service.methods
}

# Its interpreter raises the recursion limit when it is first used, which hypothesis would notice.
interpreted(patrol_pb2.TerminalMessage())

TEXTS = ("", "a", "Z9_.-", "-a", "a\n", "a b", "京A12345", str(uuid.UUID(int=7)), "registry", "rule")


def limits(field: FieldDescriptor) -> set[float]:
    """The numbers in the field's rules and their neighbours, which are where checks differ."""
    rules = field.GetOptions().Extensions[validate_pb2.field]
    found: set[float] = {0, 1, 2}
    kind = rules.WhichOneof("type")
    if kind is None:
        return found
    of_kind = getattr(rules, kind)
    if kind == "repeated":
        inner = of_kind.items.WhichOneof("type")
        of_kind = getattr(of_kind.items, inner) if inner else of_kind
    for limit, value in of_kind.ListFields():
        if limit.name in {"gt", "gte", "lt", "lte", "min_len", "max_len", "min_items", "max_items"}:
            found |= {value - 1, value, value + 1}
    return found


def value_of(draw: st.DrawFn, field: FieldDescriptor) -> Any:
    at = sorted(limits(field))
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_BYTES:
            return bytes(int(draw(st.sampled_from([n for n in at if 0 <= n <= 5_000]))))
        case FieldDescriptor.CPPTYPE_STRING:
            lengths = st.sampled_from([n for n in at if 0 <= n <= 20_000]).map(lambda n: "é" * int(n))
            return draw(st.sampled_from(TEXTS) | lengths)
        case FieldDescriptor.CPPTYPE_ENUM:
            return draw(st.sampled_from([0, 1, 2, 999]))
        case FieldDescriptor.CPPTYPE_BOOL:
            return draw(st.booleans())
        case FieldDescriptor.CPPTYPE_FLOAT | FieldDescriptor.CPPTYPE_DOUBLE:
            return draw(st.sampled_from([*at, 0.5, float("nan"), float("inf"), -float("inf")]))
        case FieldDescriptor.CPPTYPE_UINT32 | FieldDescriptor.CPPTYPE_UINT64:
            return int(draw(st.sampled_from([n for n in at if n >= 0])))
        case _:
            return int(draw(st.sampled_from(at)))


@st.composite
def messages(draw: st.DrawFn, descriptor: Descriptor, depth: int = 0) -> Any:
    made = message_factory.GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if not draw(st.sampled_from([True, True, True, False])):
            continue
        if field.message_type is not None and depth > 4:
            continue
        if field.is_repeated:
            counts = [0, 1, 2, *sorted(int(n) for n in limits(field) if 0 < n < 12)]
            for _ in range(draw(st.sampled_from(counts))):
                if field.message_type is not None:
                    getattr(made, field.name).append(draw(messages(field.message_type, depth + 1)))
                else:
                    getattr(made, field.name).append(value_of(draw, field))
        elif field.message_type is not None:
            getattr(made, field.name).CopyFrom(draw(messages(field.message_type, depth + 1)))
        else:
            setattr(made, field.name, value_of(draw, field))
    return made


@pytest.mark.parametrize("name", sorted(REQUESTS))
def test_every_request_of_the_wire_is_compiled(name: str) -> None:
    assert compiled(REQUESTS[name]) is not None, "a rule that has to be interpreted takes milliseconds"


@pytest.mark.parametrize("name", sorted(REQUESTS))
@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_compiled_and_interpreted_rules_agree(name: str, data: st.DataObject) -> None:
    request = data.draw(messages(REQUESTS[name]))
    assert {violation.field for violation in violations_of(request)} == {
        violation.field for violation in interpreted(request)
    }


def test_no_violation_repeats_the_value() -> None:
    canary = "冀RA8HK52"
    request = patrol_pb2.TerminalMessage(command_id=canary, receipt=patrol_pb2.Receipt(alert_id=canary * 20))
    told = repr(violations_of(request)) + repr(interpreted(request))
    assert "command_id" in told
    assert canary not in told
