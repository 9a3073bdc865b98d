"""Who may talk to whom: the policies against what the services' code and the one table of topics say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from chart_manifests import RELEASE, ROOT, SERVICES, manifests, of_kind, pods, selects

from alerthub.provision.containers import CONTAINERS, PORTS
from alerthub.provision.database import ROLES

Pair = tuple[str, str, int]

WHERE = {
    field: (each.name, PORTS[each.name][listener])
    for each in CONTAINERS
    for listener, field in each.addresses.items()
}
"""Fields of `Addresses`: service and port."""

KAFKA, POSTGRES = 9093, 5432
COMES_FROM_OUTSIDE = {
    ("gateway", 8443),
    ("gateway", 7141),
    ("console", 8444),
    ("push", 7131),
    ("registry", 7102),
}


def used_by_the_code() -> set[Pair]:
    """Each service's use of `addresses.FIELD`, in its own folder."""
    return {
        (each.name, *WHERE[field])
        for each in CONTAINERS
        for path in ROOT.joinpath(*each.module.split(".")).rglob("*.py")
        for field in re.findall(r"\baddresses\.(\w+)", path.read_text(encoding="utf-8"))
        if field in WHERE
    }


def tell_spans_by_the_code() -> set[str]:
    """Services that wire traces."""
    return {
        each.name
        for each in CONTAINERS
        if "traces_of(settings)"
        in ROOT.joinpath(*each.module.split("."), "service.py").read_text(encoding="utf-8")
    }


def policies(values: str, service: str) -> list[dict[str, Any]]:
    """Those that select the service's pods."""
    labels = pods(values)[f"{RELEASE}-{service}"]["metadata"]["labels"]
    return [
        each["spec"]
        for each in of_kind("NetworkPolicy", values).values()
        if selects(each["spec"]["podSelector"], labels)
    ]


def services_of(peers: Sequence[Mapping[str, Any]], values: str) -> Iterator[str]:
    for peer in peers:
        if "podSelector" in peer and "namespaceSelector" not in peer:
            for service in SERVICES:
                if selects(peer["podSelector"], pods(values)[f"{RELEASE}-{service}"]["metadata"]["labels"]):
                    yield service


def allowed(values: str, direction: str) -> set[Pair]:
    """(caller, callee, port) between services, by the policies of one side."""
    side = "from" if direction == "ingress" else "to"
    return {
        (other, service, port["port"]) if direction == "ingress" else (service, other, port["port"])
        for service in SERVICES
        for policy in policies(values, service)
        for rule in policy.get(direction) or ()
        for other in services_of(rule.get(side, ()), values)
        for port in rule["ports"]
    }


@pytest.mark.parametrize("direction", ["ingress", "egress"])
@pytest.mark.parametrize("values", ["minimal", "full"])
def test_s7_services_talk_to_whom_their_code_calls_and_to_nobody_else(values: str, direction: str) -> None:
    pairs = used_by_the_code()
    assert ("push", "dispatch", 7121) in pairs
    assert allowed(values, direction) == pairs


@pytest.mark.parametrize("service", SERVICES)
def test_s7_nothing_reaches_a_pod_but_by_a_rule(service: str) -> None:
    found = policies("minimal", service)
    closed = [each for each in found if not each.get("ingress") and not each.get("egress")]
    assert [each["policyTypes"] for each in closed] == [["Ingress", "Egress"]]
    rules = [rule for each in found for side in ("ingress", "egress") for rule in each.get(side) or ()]
    assert all(rule.get("ports") for rule in rules), "a rule without ports opens all of them"


@pytest.mark.parametrize("service", SERVICES)
def test_s7_a_service_reaches_names_kafka_its_own_database_and_whom_it_calls(service: str) -> None:
    outwards = {
        port["port"]
        for policy in policies("minimal", service)
        for rule in policy.get("egress") or ()
        if not list(services_of(rule.get("to", ()), "minimal"))
        for port in rule["ports"]
    }
    assert outwards == {53, KAFKA} | ({POSTGRES} if service in ROLES else set())


def test_s7_outsiders_reach_the_doors_and_nothing_behind_them() -> None:
    open_to_anybody = {
        (service, port["port"])
        for service in SERVICES
        for policy in policies("minimal", service)
        for rule in policy.get("ingress") or ()
        if not list(services_of(rule["from"], "minimal"))
        for port in rule["ports"]
    }
    assert open_to_anybody == COMES_FROM_OUTSIDE


def test_metrics_are_read_by_whom_the_values_name_alone() -> None:
    readers = [
        rule["from"]
        for service in SERVICES
        for policy in policies("full", service)
        for rule in policy.get("ingress") or ()
        if any(port["port"] == 9100 for port in rule["ports"])
    ]
    peers = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    assert readers == [peers] * len(SERVICES)


def test_others_servers_are_reached_where_the_values_say() -> None:
    reached = {
        (service, port["port"], peer["ipBlock"]["cidr"])
        for service in SERVICES
        for policy in policies("full", service)
        for rule in policy.get("egress") or ()
        for peer in rule.get("to", ())
        if "ipBlock" in peer
        for port in rule["ports"]
    }
    assert reached == {
        *((service, port, "10.20.0.0/24") for service in SERVICES for port in (9093, 9094)),
        *((service, 6432, "10.20.1.0/24") for service in ROLES),
        ("gateway", 8884, "10.20.2.0/24"),
        *((service, 443, "10.20.3.0/24") for service in ("gateway", "dispatch")),
        *((service, 8443, "192.0.2.0/24") for service in ("registry", "watchlist", "dispatch")),
        *((service, 4317, "10.20.4.0/24") for service in tell_spans_by_the_code()),
    }


def test_provisioning_reaches_kafka_and_postgresql_while_it_runs() -> None:
    labels = pods("minimal")[f"{RELEASE}-provision"]["metadata"]["labels"]
    [policy] = [
        each
        for each in of_kind("NetworkPolicy", "minimal").values()
        if "helm.sh/hook" in each["metadata"].get("annotations", {})
    ]
    assert selects(policy["spec"]["podSelector"], labels)
    assert {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]} == {
        53,
        KAFKA,
        POSTGRES,
    }


def test_policies_are_left_out_only_where_the_values_say_so() -> None:
    rendered = manifests("minimal", "--set", "networkPolicy.enabled=false")
    assert not [each for each in rendered if each["kind"] == "NetworkPolicy"]
