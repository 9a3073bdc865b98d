"""What a real API server admits of the chart: each field known, each pod within "restricted", each right
asked for held by a namespace's administrator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

import pytest
from chart_manifests import PODS, RELEASE
from cluster import Cluster, Object
from release import INSTALLER, VALUES, Release, pod_templates

MakeRelease = Callable[[str], Release]


@pytest.fixture(scope="module", params=sorted(VALUES))
def release(request: pytest.FixtureRequest, make_release: MakeRelease) -> Release:
    return make_release(request.param)


@pytest.fixture(scope="module")
def full(make_release: MakeRelease) -> Release:
    return make_release("full")


def refusals(release: Release, manifests: list[Object]) -> list[str]:
    """What the server says of each that it would not store."""
    answers = [(each, release.installer.create(each, release.namespace, only_try=True)) for each in manifests]
    return [
        f"{each['kind']} {each['metadata']['name']}: {answer.json()['message']}"
        for each, answer in answers
        if answer.status_code != HTTPStatus.CREATED
    ]


def test_no_field_is_unknown_and_nobody_needs_more_than_a_namespace(release: Release) -> None:
    assert not refusals(release, release.rendered())


def test_every_pod_is_admitted_where_restricted_is_enforced(release: Release) -> None:
    # Who makes a Deployment is only warned of its pods, so each is asked for itself: without its account,
    # which a dry run has not made.
    pods = pod_templates(release.rendered())
    for pod in pods.values():
        pod["spec"].pop("serviceAccountName", None)
    assert pods.keys() == {f"{RELEASE}-{name}" for name in PODS}
    assert not refusals(release, list(pods.values()))


LOOSENED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "root": lambda spec: spec["securityContext"].update(runAsNonRoot=False, runAsUser=0),
    "privileged": lambda spec: spec["containers"][0]["securityContext"].update(
        privileged=True, allowPrivilegeEscalation=True
    ),
    "capabilities": lambda spec: spec["containers"][0]["securityContext"]["capabilities"].update(
        add=["NET_ADMIN"]
    ),
    "host": lambda spec: spec.update(hostNetwork=True),
    "files of the host": lambda spec: spec["volumes"].append({"name": "host", "hostPath": {"path": "/"}}),
    "seccomp": lambda spec: spec["containers"][0]["securityContext"].update(
        seccompProfile={"type": "Unconfined"}
    ),
}


@pytest.mark.parametrize("loosened", LOOSENED)
def test_a_pod_of_the_chart_that_may_more_is_refused(full: Release, loosened: str) -> None:
    pod = pod_templates(full.rendered())[f"{RELEASE}-gateway"]
    pod["spec"].pop("serviceAccountName")
    LOOSENED[loosened](pod["spec"])
    [refused] = refusals(full, [pod])
    assert 'violates PodSecurity "restricted:latest"' in refused


def mistyped(manifests: list[Object]) -> Iterator[Object]:
    """One of each kind whose fields are known, with one more."""
    for kind in sorted({each["kind"] for each in manifests} - {"Secret", "ServiceAccount"}):
        found = next(each for each in manifests if each["kind"] == kind)
        yield found | {"spec": found["spec"] | {"mistyped": 1}}


def test_a_field_that_is_no_field_of_its_kind_would_be_refused(release: Release) -> None:
    wrong = list(mistyped(release.rendered()))
    refused = refusals(release, wrong)
    assert len(refused) == len(wrong)
    assert all('unknown field "spec.mistyped"' in each for each in refused)


def test_whoever_installs_may_nothing_in_another_namespace(full: Release, cluster: Cluster) -> None:
    answer = cluster.client(INSTALLER).create(full.rendered()[0], "default", only_try=True)
    assert answer.status_code == HTTPStatus.FORBIDDEN
