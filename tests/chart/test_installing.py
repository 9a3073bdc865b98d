"""The chart in a real API server: what an installation, an upgrade and a removal store."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from chart_manifests import RELEASE, SERVICES
from cluster import Object, until
from release import PROVISION_PODS, VALUES, Release, differences

MakeRelease = Callable[[str], Release]


@pytest.fixture(scope="module", params=sorted(VALUES))
def installed(request: pytest.FixtureRequest, make_release: MakeRelease) -> Release:
    release = make_release(request.param)
    done = release.install()
    assert done.returncode == 0, done.stderr
    return release


@pytest.fixture(scope="module")
def minimal(make_release: MakeRelease) -> Release:
    release = make_release("minimal")
    done = release.install()
    assert done.returncode == 0, done.stderr
    return release


def deployments(release: Release) -> dict[str, Object]:
    found = release.installer.of_kind("apps/v1", "Deployment", release.namespace)
    return {each["metadata"]["name"].removeprefix(f"{RELEASE}-"): each for each in found}


def test_a_dry_run_on_the_server_stores_nothing(make_release: MakeRelease) -> None:
    release = make_release("full")
    before = release.everything()
    done = release.helm("install", "--dry-run=server")
    assert done.returncode == 0, done.stderr
    assert release.everything() == before


def test_nothing_starts_before_kafka_and_postgresql_are_provisioned(make_release: MakeRelease) -> None:
    release = make_release("minimal")
    done = release.helm("install", "--timeout", "3s")
    assert done.returncode != 0
    assert [kind for kind, _ in release.everything() if kind == "Job"] == ["Job"]
    assert not deployments(release)


def test_what_is_stored_is_what_was_rendered(installed: Release) -> None:
    wrong = []
    for manifest in installed.rendered():
        if "hook-succeeded" in manifest["metadata"].get("annotations", {}).get(
            "helm.sh/hook-delete-policy", ""
        ):
            continue
        stored = installed.installer.find(manifest, installed.namespace)
        name = f"{manifest['kind']} {manifest['metadata']['name']}"
        wrong += [f"{name}{each}" for each in differences(manifest, stored)]
    assert not wrong


def test_every_deployment_gets_its_pods_where_restricted_is_enforced(minimal: Release) -> None:
    def waiting() -> list[str]:
        return [
            f"{name}: {each.get('status', {}).get('conditions')}"
            for name, each in deployments(minimal).items()
            if each.get("status", {}).get("replicas") != each["spec"]["replicas"]
        ]

    assert deployments(minimal).keys() == set(SERVICES)
    until(lambda: not waiting(), f"all pods are made, but {waiting()}")


def test_no_pod_is_given_a_token_of_kubernetes(minimal: Release) -> None:
    pods = until(
        lambda: minimal.installer.of_kind("v1", "Pod", minimal.namespace), "there are pods of the release"
    )
    assert not [
        volume
        for pod in pods
        for volume in pod["spec"].get("volumes", [])
        if "serviceAccountToken" in str(volume)
    ]


def test_every_file_that_a_pod_mounts_is_in_its_secret(minimal: Release) -> None:
    secrets = {
        each["metadata"]["name"]: each.get("data", {}).keys()
        for each in minimal.installer.of_kind("v1", "Secret", minimal.namespace)
    }
    lacking = [
        f"{name}: {item['key']} of {volume['secret']['secretName']}"
        for name, each in deployments(minimal).items()
        for volume in each["spec"]["template"]["spec"]["volumes"]
        if "secret" in volume
        for item in volume["secret"]["items"]
        if item["key"] not in secrets[volume["secret"]["secretName"]]
    ]
    assert not lacking


def test_every_name_that_a_service_calls_is_a_service(minimal: Release) -> None:
    services = {
        f"{each['metadata']['name']}:{port['port']}"
        for each in minimal.installer.of_kind("v1", "Service", minimal.namespace)
        for port in each["spec"]["ports"]
    }
    called = {
        variable["value"]
        for each in deployments(minimal).values()
        for container in each["spec"]["template"]["spec"]["containers"]
        for variable in container["env"]
        if variable["name"].startswith("ALERTHUB_ADDRESSES__")
    }
    assert called
    assert called <= services


def test_a_changed_value_changes_its_service_alone(make_release: MakeRelease) -> None:
    release = make_release("minimal")
    assert release.install().returncode == 0
    before = {name: each["metadata"]["generation"] for name, each in deployments(release).items()}
    [provisioned] = release.installer.of_kind("batch/v1", "Job", release.namespace)
    changed = ("--set", "services.gateway.settings.log_level=warning")
    [wanted] = [
        each
        for each in release.rendered(*changed)
        if (each["kind"], each["metadata"]["name"]) == ("Deployment", f"{RELEASE}-gateway")
    ]
    assert list(differences(wanted, deployments(release)["gateway"]))

    done = release.upgrade(*changed)

    assert done.returncode == 0, done.stderr
    assert not list(differences(wanted, deployments(release)["gateway"]))
    after = {name: each["metadata"]["generation"] for name, each in deployments(release).items()}
    assert {name for name in after if after[name] != before[name]} == {"gateway"}
    [again] = release.installer.of_kind("batch/v1", "Job", release.namespace)
    assert again["metadata"]["uid"] != provisioned["metadata"]["uid"]


@pytest.mark.parametrize("values", sorted(VALUES))
def test_a_removed_release_leaves_what_the_documentation_says(values: str, make_release: MakeRelease) -> None:
    release = make_release(values)
    before = release.everything()
    assert release.install().returncode == 0
    claims = {
        ("PersistentVolumeClaim", each["metadata"]["name"])
        for each in release.rendered()
        if each["kind"] == "PersistentVolumeClaim"
    }

    done = release.helm("uninstall")

    assert done.returncode == 0, done.stderr
    [pod] = release.installer.of_kind("v1", "Pod", release.namespace, PROVISION_PODS)
    left = claims | {("Job", f"{RELEASE}-provision"), ("Pod", pod["metadata"]["name"])}

    def too_much() -> set[tuple[str, str]]:
        return {each for each in release.everything() - before - left if each[0] != "Event"}

    until(lambda: not too_much(), f"the rest is gone, but {too_much()}")
    assert left <= release.everything()
