"""The chart, rendered once a process for each file of values."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from alerthub.provision.containers import CONTAINERS

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
CHART = ROOT / "charts" / "alerthub"
RELEASE = "alerthub"
SERVICES = [each.name for each in CONTAINERS]
PODS = [*SERVICES, "provision"]

Manifest = dict[str, Any]


def helm(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The lock file's own, else one that is installed."""
    own = Path(sys.executable).with_name("helm")
    program = str(own) if own.exists() else shutil.which("helm")
    assert program, "helm is not installed: `make setup` installs it on Linux (x86-64), elsewhere see helm.sh"
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False, cwd=ROOT, env=environment
    )


def render(values: str = "minimal", *options: str) -> subprocess.CompletedProcess[str]:
    """`helm template` with a file of `ci/`; `options` such as --set FIELD=VALUE."""
    return helm("template", RELEASE, str(CHART), "--values", str(CHART / "ci" / f"{values}.yaml"), *options)


@cache
def manifests(values: str, *options: str) -> tuple[Manifest, ...]:
    done = render(values, *options)
    assert done.returncode == 0, done.stderr
    return tuple(each for each in yaml.load_all(done.stdout, yaml.CSafeLoader) if each)


def of_kind(kind: str, values: str, *options: str) -> dict[str, Manifest]:
    """Manifests by name."""
    found = {each["metadata"]["name"]: each for each in manifests(values, *options) if each["kind"] == kind}
    assert found, f"no {kind}"
    return found


def pods(values: str) -> dict[str, Manifest]:
    """What every pod of the chart is made from, by the name of its Deployment or Job."""
    return {
        each["metadata"]["name"]: each["spec"]["template"]
        for each in manifests(values)
        if each["kind"] in {"Deployment", "Job"}
    }


def container(service: str, values: str) -> Manifest:
    [only] = of_kind("Deployment", values)[f"{RELEASE}-{service}"]["spec"]["template"]["spec"]["containers"]
    found: Manifest = only
    return found


def environment(service: str, values: str, *, instance: str = "pod") -> dict[str, str]:
    """A service's variables, as in a pod of the name `instance`."""
    return {
        each["name"]: instance if each.get("valueFrom") else each["value"]
        for each in container(service, values)["env"]
    }


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    wanted: Mapping[str, Any] = selector["matchLabels"]
    return wanted.items() <= labels.items()
