"""What the chart refuses to render, and the words in which it does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from chart_manifests import CHART, PODS, manifests, pods, render
from generate_chart_schema import document

VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("owner", PODS)
def test_s7_without_a_secret_nothing_is_rendered_and_a_sentence_names_it(owner: str) -> None:
    done = render("minimal", "--set", f"secrets.{owner}=")
    assert (done.returncode, done.stdout) == (1, "")
    [sentence] = [line for line in done.stderr.splitlines() if line.startswith("- ")]
    assert sentence.startswith(f"- secrets.{owner}: name the Secret that holds the share")


def test_s7_all_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.yaml"
    nothing.write_text("{}", encoding="utf-8")
    done = render("../values", "--values", str(nothing))
    told = {line[2:].partition(":")[0] for line in done.stderr.splitlines() if line.startswith("- ")}
    assert told == {f"secrets.{name}" for name in VALUES["secrets"]} | {"kafka.bootstrap", "postgres.host"}


@pytest.mark.parametrize("values", ["minimal", "full"])
def test_s7_the_chart_makes_no_secret(values: str) -> None:
    assert not [each for each in manifests(values) if each["kind"] in {"Secret", "ConfigMap"}]


@pytest.mark.parametrize("values", ["minimal", "full"])
def test_s7_no_secret_is_the_value_of_a_variable(values: str) -> None:
    told = [
        variable
        for pod in pods(values).values()
        for container in pod["spec"]["containers"]
        for variable in container["env"]
    ]
    assert not [each["name"] for each in told if "secretKeyRef" in str(each.get("valueFrom"))]
    secret = [each for each in told if any(word in each["name"] for word in ("PASSWORD", "TOKEN", "KEY"))]
    assert not [each["name"] for each in secret if not each["value"].startswith(("/run/", "/var/lib/"))]


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("kafka.partition=64", "kafka: Additional property partition is not allowed"),
        ("services.gatway.replicas=3", "services: Additional property gatway is not allowed"),
        ("services.gateway.settings.linger=3", "services.gateway.settings: Additional property linger"),
        ("services.registry.settings.sign_in_queue=0", "services.registry.settings.sign_in_queue: Must be"),
        ("services.push.replicas=0", "services.push.replicas: Must be greater than or equal to 1"),
        ("services.gateway.settings.plain_http_port=80", "Additional property plain_http_port"),
        ("retentionMinutes=1441", "retentionMinutes: Must be less than or equal to 1440"),
        ("kafka.bootstrap=kafka", "kafka.bootstrap: Does not match pattern"),
        ("evidence.url=s3://name:secret@bucket", "evidence.url: Does not match pattern"),
        ("witness.url=http://witness.example", "witness.url: Does not match pattern"),
        ("secrets.registry=Not A Name", "secrets.registry: Does not match pattern"),
        ("outside.gateway.from[0].cidr=0.0.0.0/0", "outside.gateway.from.0: Additional property cidr"),
        ("securityContext.runAsUser=0", "Additional property securityContext is not allowed"),
    ],
)
def test_a_wrong_value_is_refused_with_its_fields_name(option: str, told: str) -> None:
    done = render("minimal", "--set", option)
    assert done.returncode == 1
    assert told in done.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            ("services.correlator.replicas=129",),
            "services.correlator.replicas: at most kafka.partitions (128)",
        ),
        (
            ("autoscaling.correlator.enabled=true", "autoscaling.correlator.maximum=129"),
            "autoscaling.correlator.maximum: at most kafka.partitions (128)",
        ),
        (("autoscaling.push.minimum=9",), "autoscaling.push.minimum: at most autoscaling.push.maximum"),
        (("kafka.minimumInSyncReplicas=4",), "kafka.minimumInSyncReplicas: at most kafka.replicas"),
        (("services.watchlist.replicas=2",), "services.watchlist.replicas: 1, or keys.volume.accessModes"),
        (("evidence.volume.accessModes={ReadWriteOnce}",), "evidence.volume.accessModes: [ReadWriteMany]"),
        (("witness.volume.accessModes={ReadWriteOnce}",), "witness.volume.accessModes: [ReadWriteMany]"),
        (("witness.volume.enabled=false",), "witness: a volume (witness.volume.enabled) or witness.url"),
        (("mqtt.address=mqtt:8884", "mqtt.username=gateway"), "mqtt.passwordSecret: name the Secret"),
        (("fullnameOverride=a-name-of-more-than-thirty-letters",), "fullnameOverride: a name of at most 30"),
    ],
)
def test_values_that_do_not_go_together_are_refused_in_a_sentence(
    options: tuple[str, ...], told: str
) -> None:
    done = render("minimal", *(word for option in options for word in ("--set", option)))
    assert done.returncode == 1
    [sentence] = [line for line in done.stderr.splitlines() if line.startswith("- ")]
    assert sentence.startswith(f"- {told}")


def test_what_settings_may_be_is_what_the_services_settings_say() -> None:
    written = (CHART / "values.schema.json").read_text(encoding="utf-8")
    assert written == document()


def test_each_field_that_the_schema_knows_has_a_default_to_read() -> None:
    def fields(schema: dict[str, Any], values: dict[str, Any], path: str) -> list[str]:
        missing = []
        for name, of in schema.get("properties", {}).items():
            if name not in values:
                missing.append(f"{path}{name}")
            elif isinstance(values[name], dict):
                missing += fields(of, values[name], f"{path}{name}.")
        return missing

    schema = yaml.safe_load((CHART / "values.schema.json").read_text(encoding="utf-8"))
    assert fields(schema, VALUES, "") == ["global"]
