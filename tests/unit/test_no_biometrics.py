"""Refusal 1: no message has a place for a body's features, nor for race, religion, health or opinion."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor

import alerthub.api.v1

ALLOWED_FIELDS = Path(__file__).with_name("allowed_proto_fields.txt")
FREE_FORM_TYPES = {
    "google.protobuf.Any",
    "google.protobuf.Struct",
    "google.protobuf.Value",
    "google.protobuf.ListValue",
}


def _files() -> Iterator[FileDescriptor]:
    for module in pkgutil.iter_modules(alerthub.api.v1.__path__):
        if module.name.endswith("_pb2"):
            yield importlib.import_module(f"alerthub.api.v1.{module.name}").DESCRIPTOR


def _messages(file: FileDescriptor) -> Iterator[Descriptor]:
    pending = list(file.message_types_by_name.values())
    while pending:
        message = pending.pop()
        pending.extend(message.nested_types)
        yield message


def _fields() -> Iterator[FieldDescriptor]:
    for file in _files():
        for message in _messages(file):
            yield from message.fields


def _type_of(field: FieldDescriptor) -> str:
    names = {
        value: name[5:].lower() for name, value in vars(FieldDescriptor).items() if name.startswith("TYPE_")
    }
    if field.message_type is not None:
        return str(field.message_type.name)
    return str(field.enum_type.name) if field.enum_type is not None else names[field.type]


def _line_of(field: FieldDescriptor) -> str:
    assert field.containing_type is not None, "a message's field is in it"
    return f"{field.containing_type.name}.{field.name}: {_type_of(field)}"


def test_every_field_on_the_wire_is_on_the_allow_list() -> None:
    # given a list that a person reads and extends when a field is added
    allowed = set(ALLOWED_FIELDS.read_text(encoding="utf-8").split("\n"))

    # when every field of every message is written the same way
    present = {_line_of(field) for field in _fields()}

    # then none is there that nobody looked at
    assert sorted(present - allowed) == []


def test_the_allow_list_names_no_field_that_is_gone() -> None:
    allowed = set(ALLOWED_FIELDS.read_text(encoding="utf-8").split("\n")) - {""}
    present = {_line_of(field) for field in _fields()}

    assert sorted(allowed - present) == []


@pytest.mark.parametrize("file", list(_files()), ids=lambda file: file.name)
def test_no_message_takes_free_form_content(file: FileDescriptor) -> None:
    # given a file of messages, when their fields' types are looked at
    free_form = [
        f"{message.name}.{field.name}"
        for message in _messages(file)
        for field in message.fields
        if field.message_type is not None
        and (field.message_type.full_name in FREE_FORM_TYPES or field.message_type.GetOptions().map_entry)
    ]

    # then none can hold what nobody declared
    assert free_form == []
