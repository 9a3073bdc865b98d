"""What the chart makes of each service of the catalogue."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml
from chart_manifests import (
    CHART,
    PODS,
    RELEASE,
    ROOT,
    SERVICES,
    container,
    environment,
    helm,
    manifests,
    of_kind,
    pods,
    selects,
)
from generate_chart_schema import SETTINGS

from alerthub.embedded.environment import retention_environment
from alerthub.embedded.folder import HubFolder
from alerthub.provision.containers import KEEPS, OPERATIONS_PORT, PORTS, SHARE, STATE, container_environment
from alerthub.provision.shares import secret_files

RULES = ROOT / "deploy" / "prometheus" / "rules"
EVERY_POD = [(values, name) for values in ("minimal", "full") for name in PODS]


def told_by_the_table(service: str) -> dict[str, str]:
    return container_environment(
        service,
        kafka="kafka.city.example:9093",
        postgres="postgres.city.example:5432",
        host=f"{RELEASE}-{{name}}",
        instance="pod",
    )


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_told_what_it_is_told_in_every_deployment(service: str) -> None:
    wanted = told_by_the_table(service) | retention_environment(service, 60)
    wanted |= {"ALERTHUB_PARTITIONS": "128"} if service == "correlator" else {}
    # Each gateway by itself, where a name stands for all of them.
    wanted |= (
        {"ALERTHUB_GATEWAY_INSTANCES": f"{RELEASE}-gateway-instances:7141"} if service == "canary" else {}
    )
    assert environment(service, "minimal") == wanted


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_reads_every_variable_that_it_is_told(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = environment(service, "full", instance="pod-of-the-longest-name")
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    settings = SETTINGS[service]()
    for name in told:
        field, _, inner = name.removeprefix("ALERTHUB_").lower().partition("__")
        assert field in type(settings).model_fields, name
        assert not inner or inner in type(getattr(settings, field)).model_fields, name
    assert settings.instance == "pod-of-the-longest-name"


def test_who_tells_spans_is_told_of_the_collector_and_given_its_authority() -> None:
    for service in ("gateway", "correlator", "dispatch", "push"):
        told = environment(service, "full")
        assert told["ALERTHUB_TRACES__COLLECTOR"] == "collector.city.example:4317"
        assert told["ALERTHUB_TRACES__BATCH_RATIO"] == "0.05"
        mounts = {each["mountPath"]: each["name"] for each in container(service, "full")["volumeMounts"]}
        folder = str(PurePosixPath(told["ALERTHUB_TRACES__CA_FILE"]).parent)
        assert mounts[folder] == "authority-traces"
    assert "ALERTHUB_TRACES__COLLECTOR" not in environment("registry", "full")


def test_a_setting_arrives_as_it_was_written() -> None:
    told = environment("gateway", "full")
    assert (told["ALERTHUB_PICTURE_BOUND_BYTES"], told["ALERTHUB_DEVICE_EVENTS_PER_SECOND"]) == (
        "8589934592",
        "12.5",
    )


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_given_its_own_share_and_nothing_of_anothers(service: str) -> None:
    deployment = of_kind("Deployment", "minimal")[f"{RELEASE}-{service}"]
    secrets = [
        each["secret"] for each in deployment["spec"]["template"]["spec"]["volumes"] if "secret" in each
    ]
    wanted = [file.name for file in secret_files(HubFolder(Path("/")), service)]
    assert [(each["secretName"], each["defaultMode"]) for each in secrets] == [(f"alerthub-{service}", 0o440)]
    assert secrets[0]["items"] == [{"key": name, "path": name} for name in wanted]
    [mount] = [each for each in container(service, "minimal")["volumeMounts"] if each["name"] == "share"]
    assert mount == {"name": "share", "mountPath": SHARE, "readOnly": True}


def test_the_documentation_makes_the_secret_of_every_pod() -> None:
    document = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    [names] = re.findall(r"^ *for name in ([a-z ]+); do$", document, re.MULTILINE)
    assert set(names.split()) == set(PODS)


@pytest.mark.parametrize("service", SERVICES)
def test_what_outlives_a_pod_lies_on_a_claim(service: str) -> None:
    mounted = {each["name"]: each["mountPath"] for each in container(service, "minimal")["volumeMounts"]}
    kept = {folder: f"{STATE}/{folder}" for folder in KEEPS.get(service, ())}
    if "keys" in kept:
        # Its owner makes and closes the folder inside.
        kept["keys"] = STATE
    assert mounted == {"share": SHARE, "tmp": "/tmp"} | kept  # noqa: S108 - a mount of the container
    claims = of_kind("PersistentVolumeClaim", "minimal")
    assert kept.keys() <= {name.removeprefix(f"{RELEASE}-") for name in claims}


def test_one_pod_alone_has_the_keys_and_they_outlive_the_release() -> None:
    claim = of_kind("PersistentVolumeClaim", "minimal")[f"{RELEASE}-keys"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    watchlist = of_kind("Deployment", "minimal")[f"{RELEASE}-watchlist"]["spec"]
    assert (watchlist["replicas"], watchlist["strategy"]) == (1, {"type": "Recreate"})


@pytest.mark.parametrize("service", SERVICES)
def test_kubernetes_asks_whether_a_service_lives_and_is_ready(service: str) -> None:
    asked = container(service, "minimal")
    ports = {each["name"]: each["containerPort"] for each in asked["ports"]}
    assert ports["operations"] == OPERATIONS_PORT
    assert sorted(ports.values()) == sorted([*PORTS[service].values(), OPERATIONS_PORT])
    probes = {name: asked[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert probes == {
        "startup": {"path": "/live", "port": "operations"},
        "liveness": {"path": "/live", "port": "operations"},
        "readiness": {"path": "/ready", "port": "operations"},
    }


@pytest.mark.parametrize(("values", "name"), EVERY_POD)
def test_s7_a_pod_may_nothing_that_it_does_not_need(values: str, name: str) -> None:
    pod = pods(values)[f"{RELEASE}-{name}"]["spec"]
    security = pod["securityContext"]
    assert (security["runAsNonRoot"], security["runAsUser"]) == (True, 10001)
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    for each in pod["containers"]:
        told = each["securityContext"]
        assert (told["readOnlyRootFilesystem"], told["allowPrivilegeEscalation"]) == (True, False)
        assert told["capabilities"] == {"drop": ["ALL"]}
        assert told["privileged"] is False
    assert not [volume for volume in pod["volumes"] if "hostPath" in volume]


@pytest.mark.parametrize(("values", "name"), EVERY_POD)
def test_kubernetes_adds_no_variables_that_look_like_settings(values: str, name: str) -> None:
    assert pods(values)[f"{RELEASE}-{name}"]["spec"]["enableServiceLinks"] is False


@pytest.mark.parametrize(("values", "name"), EVERY_POD)
def test_a_pod_says_what_it_needs_and_where_its_memory_ends(values: str, name: str) -> None:
    for each in pods(values)[f"{RELEASE}-{name}"]["spec"]["containers"]:
        assert each["resources"]["requests"].keys() == {"cpu", "memory"}
        assert each["resources"]["limits"].keys() == {"memory"}


@pytest.mark.parametrize("service", SERVICES)
def test_at_most_one_pod_of_a_service_goes_with_a_machine(service: str) -> None:
    budget = of_kind("PodDisruptionBudget", "minimal")[f"{RELEASE}-{service}"]["spec"]
    assert budget["maxUnavailable"] == 1
    labels = {name: pod["metadata"]["labels"] for name, pod in pods("minimal").items()}
    assert [name for name in labels if selects(budget["selector"], labels[name])] == [f"{RELEASE}-{service}"]


@pytest.mark.parametrize("service", SERVICES)
def test_pods_of_a_service_spread_over_zones_and_machines(service: str) -> None:
    template = pods("minimal")[f"{RELEASE}-{service}"]
    constraints = template["spec"]["topologySpreadConstraints"]
    assert {each["topologyKey"] for each in constraints} == {
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
    }
    assert all(selects(each["labelSelector"], template["metadata"]["labels"]) for each in constraints)


def test_a_correlator_more_than_there_are_partitions_is_never_started() -> None:
    deployment = of_kind("Deployment", "minimal")[f"{RELEASE}-correlator"]["spec"]
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    scaler = of_kind("HorizontalPodAutoscaler", "full")[f"{RELEASE}-correlator"]["spec"]
    assert scaler["maxReplicas"] == int(environment("correlator", "full")["ALERTHUB_PARTITIONS"])


def test_correlators_follow_the_lag_and_gateways_and_push_their_processors() -> None:
    scalers = of_kind("HorizontalPodAutoscaler", "full")
    metrics = {name.removeprefix(f"{RELEASE}-"): each["spec"]["metrics"] for name, each in scalers.items()}
    assert {service: [each["type"] for each in asked] for service, asked in metrics.items()} == {
        "correlator": ["External"],
        "gateway": ["Resource"],
        "push": ["Resource"],
    }
    scaled = {each["spec"]["scaleTargetRef"]["name"] for each in scalers.values()}
    deployments = of_kind("Deployment", "full")
    assert {name for name, each in deployments.items() if "replicas" not in each["spec"]} == scaled


def test_keda_asks_for_a_lag_that_prometheus_records() -> None:
    scaler = of_kind("ScaledObject", "full", "--set", "autoscaling.correlator.kind=keda")
    [trigger] = scaler[f"{RELEASE}-correlator"]["spec"]["triggers"]
    recorded = {
        rule["record"]
        for path in RULES.glob("*.yml")
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
        if "record" in rule
    }
    assert any(name in trigger["metadata"]["query"] for name in recorded)


def test_prometheus_is_given_the_rules_as_they_are() -> None:
    given = {
        name.removeprefix(f"{RELEASE}-"): each["spec"]
        for name, each in of_kind("PrometheusRule", "full").items()
    }
    assert given == {
        path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in RULES.glob("*.yml")
    }


def test_prometheus_finds_every_service_and_knows_it_by_its_name() -> None:
    [monitor] = of_kind("ServiceMonitor", "full").values()
    services = of_kind("Service", "full").values()
    found = [each for each in services if selects(monitor["spec"]["selector"], each["metadata"]["labels"])]
    assert {each["metadata"]["name"].removeprefix(f"{RELEASE}-") for each in found} == set(SERVICES)
    [endpoint] = monitor["spec"]["endpoints"]
    assert all(endpoint["port"] in {port["name"] for port in each["spec"]["ports"]} for each in found)
    assert {each["targetLabel"] for each in endpoint["relabelings"]} == {"service", "job"}


def test_kafka_and_postgresql_are_provisioned_before_anything_changes() -> None:
    [job] = of_kind("Job", "minimal").values()
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    [told] = job["spec"]["template"]["spec"]["containers"]
    assert told["command"][:3] == ["alerthub", "provision", "infrastructure"]
    variables = {each["name"]: each["value"] for each in told["env"]}
    assert (variables["ALERTHUB_REPLICAS"], variables["ALERTHUB_MINIMUM_IN_SYNC_REPLICAS"]) == ("3", "2")


def test_without_provisioning_no_administrators_secret_is_named() -> None:
    rendered = manifests("minimal", "--set", "provision.enabled=false", "--set", "secrets.provision=")
    assert "alerthub-provision" not in str(rendered)


def test_what_is_outside_reaches_no_listener_of_services() -> None:
    inside = {PORTS[service]["grpc_port"] for service in ("registry", "watchlist", "dispatch")}
    opened: dict[str, set[int]] = {}
    for name, each in of_kind("Service", "full").items():
        if name.endswith("-outside"):
            opened[name] = {port["port"] for port in each["spec"]["ports"]}
    assert opened
    assert not inside & set().union(*opened.values())
    assert OPERATIONS_PORT not in set().union(*opened.values())


def test_only_what_kubernetes_has_without_extensions_is_rendered_by_default() -> None:
    groups = {each["apiVersion"] for each in manifests("minimal")}
    assert groups == {"v1", "apps/v1", "batch/v1", "policy/v1", "networking.k8s.io/v1"}


def test_kinds_of_extensions_come_only_where_they_are_asked_for() -> None:
    groups = {each["apiVersion"] for each in manifests("full")}
    own = {each["apiVersion"] for each in manifests("minimal")}
    assert groups - own == {"autoscaling/v2", "monitoring.coreos.com/v1"}


def test_the_charts_version_is_the_programs() -> None:
    chart: dict[str, Any] = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (chart["version"], chart["appVersion"]) == (project["version"], project["version"])


def test_another_release_beside_it_selects_none_of_its_pods() -> None:
    other = helm("template", "second", str(CHART), "--values", str(CHART / "ci" / "minimal.yaml"))
    assert other.returncode == 0, other.stderr
    selector = next(
        each["spec"]["selector"]
        for each in yaml.safe_load_all(other.stdout)
        if each and each["kind"] == "Deployment"
    )
    assert not [pod for pod in pods("minimal").values() if selects(selector, pod["metadata"]["labels"])]
