"""From YAML documents to the registry's resources: names as people write them, fields as the wire has them.

`kind: Rule` and the fields of the message Rule. `id` stands for `rule_id`, `zones` for `zone_ids`; a value of
an enumeration is written in small letters with hyphens; a time is ISO 8601 with its offset; minutes of a day
are HH:MM.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from alerthub.api.v1 import registry_pb2
from alerthub.cli.documents import Node
from alerthub.domain.errors import Refuse

KINDS = {
    "Jurisdiction": "jurisdiction",
    "Zone": "zone",
    "Device": "device",
    "CheckAuthorisation": "authorisation",
    "Rule": "rule",
    "Unit": "unit",
    "Shift": "shift",
}
"""Kind in a document: name in Resource, in the order in which one may refer to another."""
SET_BY_THE_REGISTRY = (
    "version",
    "active_from_ms",
    "secret_sha256",
    "authorisations",
    "shifts",
    "serves_jurisdictions",
)
_ALIASES = {
    "zones": "zone_ids",
    "devices": "device_ids",
    "parent": "parent_id",
    "unit": "unit_id",
    "authentication": "authentication_class",
}
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = re.compile(r"(\d{1,2}):([0-5]\d)")
_INTEGERS = {
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
}


@dataclass(frozen=True, slots=True)
class Document:
    """One resource and what a person calls it: its place in the file, its kind and its id."""

    name: str
    resource: registry_pb2.Resource


def read_resources(documents: Sequence[Node]) -> list[Document]:
    """The resources of the documents, in their order. Raises Refuse that names document and field."""
    found = []
    for position, node in enumerate(documents, start=1):
        place = f"document {position}"
        if not isinstance(node, dict):
            raise Refuse(place, "fields, the first of them kind")
        kind = node.get("kind")
        if not isinstance(kind, str) or kind not in KINDS:
            raise Refuse(f"{place}: kind", f"one of {', '.join(KINDS)}")
        identifier = node.get("id", node.get(f"{KINDS[kind]}_id", "?"))
        name = f"{place} ({kind} {identifier})"
        resource = registry_pb2.Resource()
        message = getattr(resource, KINDS[kind])
        message.SetInParent()
        fields = {field: value for field, value in node.items() if field != "kind"}
        _fill(message, fields, name, "", identifier=f"{KINDS[kind]}_id")
        found.append(Document(name, resource))
    return found


def _fill(message: Any, fields: dict[str, Node], place: str, path: str, *, identifier: str = "") -> None:
    descriptor: Descriptor = message.DESCRIPTOR
    for written, value in fields.items():
        where = f"{place}: {path}{written}"
        name, value_as_text = _field_of(descriptor, written, value, identifier, where)
        if identifier and name in SET_BY_THE_REGISTRY:
            raise Refuse(where, "left out: the registry sets it")
        field = descriptor.fields_by_name[name]
        if field.is_repeated:
            _fill_list(message, field, value_as_text, place, f"{path}{written}")
        elif field.message_type is not None:
            if not isinstance(value_as_text, dict):
                raise Refuse(where, f"fields: {', '.join(field.message_type.fields_by_name)}")
            inner = getattr(message, name)
            inner.SetInParent()
            _fill(inner, value_as_text, place, f"{path}{written}.")
        else:
            setattr(message, name, _scalar(field, value_as_text, where))


def _field_of(
    descriptor: Descriptor, written: str, value: Node, identifier: str, where: str
) -> tuple[str, Node]:
    """The message's name of a field, and its value where the written form differs from the wire's."""
    names = descriptor.fields_by_name
    if written == "id" and identifier:
        return identifier, value
    if identifier and written == f"{identifier.removesuffix('_id')}_kind" and "kind" in names:
        return "kind", value
    if written in names:
        return written, value
    if _ALIASES.get(written) in names:
        return _ALIASES[written], value
    if f"{written}_ms" in names:
        return f"{written}_ms", str(_milliseconds(value, where))
    if f"{written}_minute" in names:
        return f"{written}_minute", str(_minute(value, where))
    allowed = ", ".join(name for name in names if name not in SET_BY_THE_REGISTRY)
    raise Refuse(where, f"a field of {descriptor.name}: {allowed}")


def _fill_list(message: Any, field: FieldDescriptor, value: Node, place: str, path: str) -> None:
    if not isinstance(value, list):
        raise Refuse(f"{place}: {path}", "a list")
    target = getattr(message, field.name)
    for index, item in enumerate(value):
        where = f"{path}[{index}]"
        if field.message_type is not None:
            if not isinstance(item, dict):
                fields = ", ".join(field.message_type.fields_by_name)
                raise Refuse(f"{place}: {where}", f"fields: {fields}")
            _fill(target.add(), item, place, f"{where}.")
        elif field.name == "days" and isinstance(item, str) and item.lower() in _DAYS:
            target.append(_DAYS.index(item.lower()) + 1)
        else:
            target.append(_scalar(field, item, f"{place}: {where}"))


def _scalar(field: FieldDescriptor, value: Node, where: str) -> str | int | float | bool:
    if not isinstance(value, str):
        raise Refuse(where, "one value")
    if field.enum_type is not None:
        return _enumerated(field.enum_type, value, where)
    if field.type == FieldDescriptor.TYPE_STRING:
        return value
    if field.type == FieldDescriptor.TYPE_BOOL:
        if value not in ("true", "false"):
            raise Refuse(where, "true or false")
        return value == "true"
    if field.type in _INTEGERS:
        low, high = _INTEGERS[field.type]
        if not re.fullmatch(r"-?\d{1,20}", value) or not low <= int(value) <= high:
            raise Refuse(where, f"a whole number from {low} to {high}")
        return int(value)
    if field.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
        if not re.fullmatch(r"-?\d{1,20}(\.\d{1,20})?", value):
            raise Refuse(where, "a number, such as 38.04")
        return float(value)
    raise Refuse(where, "left out: it cannot be written in a file")


def _enumerated(enumeration: EnumDescriptor, value: str, where: str) -> int:
    prefix = enumeration.values_by_number[0].name.removesuffix("UNSPECIFIED")
    numbers = {
        each.name.removeprefix(prefix).lower().replace("_", "-"): each.number
        for each in enumeration.values
        if each.number != 0
    }
    if value not in numbers:
        raise Refuse(where, f"one of {', '.join(numbers)}")
    return int(numbers[value])


def _milliseconds(value: Node, where: str) -> int:
    try:
        moment = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Refuse(where, "a time with its offset, such as 2026-11-24T08:00:00+08:00")
    return round(moment.timestamp() * 1_000)


def _minute(value: Node, where: str) -> int:
    found = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    if found is None or int(found[1]) > 48:
        raise Refuse(where, "a time of the day, such as 07:30; after midnight 24:00 to 48:00")
    return int(found[1]) * 60 + int(found[2])
