"""Refusal 2: no interface can ask where a plate or a person has been, or gives what did not hit."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from google.protobuf.descriptor import Descriptor, MethodDescriptor

import alerthub.api.v1
from alerthub.grpc_access import access_rule, method_path

MAY_NAME_SOMEBODY = {
    "/alerthub.api.v1.WatchlistService/AddEntry": "what is to be found",
    "/alerthub.api.v1.WatchlistService/ImportEntries": "what is to be found",
    "/alerthub.api.v1.IngestService/StreamEvents": "what a device read",
    "/alerthub.api.v1.WatchlistService/SealForAlert": "what fired, blinded, by dispatch alone",
}
"""The RPCs that take an identifier or a token, and as what. None of them answers with where it was."""

NARROWED_BY = {
    "GetAccountImportRequest.import_id",
    "GetAlertRequest.alert_id",
    "GetSealedEvidenceRequest.alert_id",
    "GetSealedEvidenceRequest.unit_id",
    "GetSealedEvidenceRequest.wait_ms",
    "GetUnitAlertsRequest.unit_id",
    "ListAccountsRequest.page_size",
    "ListAccountsRequest.page_token",
    "ListAlertsRequest.page_size",
    "ListAlertsRequest.page_token",
    "ListAlertsRequest.statuses",
    "ListEntriesRequest.page_size",
    "ListEntriesRequest.page_token",
    "ListEntriesRequest.status",
    "ListResourcesRequest.kind",
    "ListResourcesRequest.page_size",
    "ListResourcesRequest.page_token",
    "WatchAlertsRequest.resume_token",
}

_NAMING = {"EntryIdentifier.text", "ReadIdentifier.text", "BlindedIdentifier.tokens"}


def _methods() -> Iterator[MethodDescriptor]:
    for module in pkgutil.iter_modules(alerthub.api.v1.__path__):
        if module.name.endswith("_pb2"):
            file = importlib.import_module(f"alerthub.api.v1.{module.name}").DESCRIPTOR
            for service in file.services_by_name.values():
                yield from service.methods


def _within(message: Descriptor) -> dict[str, Descriptor]:
    """The message and every message in it, by full name."""
    found: dict[str, Descriptor] = {}
    pending = [message]
    while pending:
        one = pending.pop()
        if one.full_name in found:
            continue
        found[one.full_name] = one
        pending.extend(field.message_type for field in one.fields if field.message_type is not None)
    return found


def _names_somebody(message: Descriptor) -> bool:
    fields = {f"{one.name}.{field.name}" for one in _within(message).values() for field in one.fields}
    return not fields.isdisjoint(_NAMING)


def test_refusal_2_no_request_asks_for_a_plate_or_a_person() -> None:
    # given every request of the wire, with everything that it can hold
    naming = {method_path(method) for method in _methods() if _names_somebody(method.input_type)}

    # then an identifier or a token goes in only where something is entered or was read
    assert naming == MAY_NAME_SOMEBODY.keys()


def test_refusal_2_what_is_listed_is_narrowed_by_nothing_that_names_somebody() -> None:
    # given every RPC that lists, gets, watches or exports
    narrowed_by = {
        f"{one.name}.{field.name}"
        for method in _methods()
        if method.name.startswith(("List", "Get", "Watch", "Export"))
        for one in _within(method.input_type).values()
        for field in one.fields
    }

    # then it is asked by these alone: states and ids of alerts, entries, resources and imports, and pages
    assert narrowed_by == NARROWED_BY


def test_refusal_2_no_answer_holds_an_observation_or_what_one_was_looked_up_by() -> None:
    giving = {
        method_path(method)
        for method in _methods()
        for name in _within(method.output_type)
        if name.rsplit(".", 1)[-1] in {"Observation", "ObservationBatch", "BlindedIdentifier", "PassageBatch"}
    }
    assert giving == set()


def test_refusal_3_only_dispatch_has_something_sealed_and_only_push_opens_for_an_officer() -> None:
    seal = access_rule("/alerthub.api.v1.WatchlistService/SealForAlert")
    officer = access_rule("/alerthub.api.v1.WatchlistService/OpenAlertForOfficer")
    assert (seal.services, seal.roles) == (frozenset({"dispatch"}), frozenset())
    assert (officer.services, officer.roles) == (frozenset({"push"}), frozenset())


def test_refusal_3_no_answer_holds_a_data_key_or_an_alerts_key() -> None:
    """C13: watchlist never returns a data key. Gateways get the epoch's key, which opens nothing."""
    keys = {
        f"{method_path(method)}: {one.name}.{field.name}"
        for method in _methods()
        for one in _within(method.output_type).values()
        for field in one.fields
        if field.type == field.TYPE_BYTES and "key" in field.name
    }
    assert keys == {
        "/alerthub.api.v1.KeyService/SynchroniseKeys: BlindingConfiguration.epoch_key",
        "/alerthub.api.v1.KeyService/SynchroniseKeys: SealingRecipient.public_key",
    }
