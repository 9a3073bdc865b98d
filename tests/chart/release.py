"""The chart in a namespace that enforces "restricted", handled by somebody who may administer that alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import yaml
from chart_manifests import CHART, RELEASE, ROOT, helm
from cluster import Client, Cluster, Object, secret

PROVISION_PODS = "app.kubernetes.io/component=provision"
INSTALLER = "installer"
RESTRICTED = {
    "pod-security.kubernetes.io/enforce": "restricted",
    "pod-security.kubernetes.io/enforce-version": "latest",
}

# Neither operator lets a namespace's administrator make its kinds: whoever installs them grants it.
_FOREIGN_KINDS_FOR_ADMINISTRATORS: Object = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {
        "name": "foreign-kinds",
        "labels": {"rbac.authorization.k8s.io/aggregate-to-admin": "true"},
    },
    "rules": [
        {
            "apiGroups": ["monitoring.coreos.com", "keda.sh"],
            "resources": ["servicemonitors", "prometheusrules", "scaledobjects"],
            "verbs": ["*"],
        }
    ],
}
_PRIORITY: Object = {
    "apiVersion": "scheduling.k8s.io/v1",
    "kind": "PriorityClass",
    "metadata": {"name": "public-safety"},
    "value": 1000000,
}

VALUES: dict[str, tuple[str, ...]] = {
    "minimal": ("minimal",),
    "full": ("full",),
    "keda": ("full", "--set", "autoscaling.correlator.kind=keda"),
}
"""Files of `ci/` and what is changed of them."""


def deal_out(folder: Path) -> Path:
    """Runs the first step of docs/kubernetes.md; returns the folder of shares."""
    command = [
        str(Path(sys.executable).with_name("alerthub")),
        *("provision", "files", "--data", str(folder / "hub"), "--shares", str(folder / "shares")),
        *("--host", f"{RELEASE}-{{name}}", "--name", "console=hub.city.example"),
        *("--account", "chief=registry-editor", "--account", "deputy=registry-editor"),
    ]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    return folder / "shares"


class Town:
    """What an administrator of the cluster did before."""

    def __init__(self, cluster: Cluster, shares: Path) -> None:
        self.cluster = cluster
        self._shares = shares
        self._numbers = count(1)
        for manifest in (_FOREIGN_KINDS_FOR_ADMINISTRATORS, _PRIORITY):
            cluster.administrator.create(manifest).raise_for_status()

    def release(self, values: str) -> Release:
        namespace = f"town-{next(self._numbers)}"
        administrator = self.cluster.administrator
        administrator.create(
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": namespace, "labels": dict(RESTRICTED)},
            }
        ).raise_for_status()
        administrator.create(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": INSTALLER},
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": "ClusterRole",
                    "name": "admin",
                },
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": INSTALLER}],
            },
            namespace,
        ).raise_for_status()
        release = Release(self.cluster, namespace, values)
        for share in sorted(self._shares.iterdir()):
            files = {path.name: path.read_bytes() for path in share.iterdir()}
            release.installer.create(secret(f"alerthub-{share.name}", files), namespace).raise_for_status()
        return release


class Release:
    """One release, with the values of `VALUES[values]`."""

    def __init__(self, cluster: Cluster, namespace: str, values: str) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.installer: Client = cluster.client(INSTALLER)
        file, *changed = VALUES[values]
        self._values = ("--values", str(CHART / "ci" / f"{file}.yaml"), *changed)
        self._environment = os.environ | {
            "KUBECONFIG": str(cluster.kubeconfig(INSTALLER, namespace=namespace)),
        }

    def helm(self, verb: str, *options: str) -> subprocess.CompletedProcess[str]:
        chart = () if verb == "uninstall" else (str(CHART), *self._values)
        return helm(verb, RELEASE, *chart, *options, environment=self._environment)

    def install(self, *options: str) -> subprocess.CompletedProcess[str]:
        """While it runs, the Job that provisions is reported as ended: no machine is here to run it."""
        return self._provisioning("install", *options)

    def upgrade(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self._provisioning("upgrade", *options)

    def rendered(self, *options: str) -> list[Object]:
        """All manifests, those of hooks too."""
        done = helm("template", RELEASE, str(CHART), "--namespace", self.namespace, *self._values, *options)
        assert done.returncode == 0, done.stderr
        return [each for each in yaml.safe_load_all(done.stdout) if each]

    def everything(self) -> set[tuple[str, str]]:
        return self.cluster.administrator.everything(self.namespace)

    def _provisioning(self, verb: str, *options: str) -> subprocess.CompletedProcess[str]:
        with self.cluster.report_ended(self.namespace, PROVISION_PODS):
            return self.helm(verb, *options)


def pod_templates(manifests: list[Object]) -> dict[str, Object]:
    """Pods as their Deployments and Jobs describe them, by name."""
    return {
        each["metadata"]["name"]: {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": each["spec"]["template"]["metadata"] | {"name": each["metadata"]["name"]},
            "spec": each["spec"]["template"]["spec"],
        }
        for each in manifests
        if each["kind"] in {"Deployment", "Job"}
    }


def differences(rendered: Any, stored: Any, where: str = "") -> Iterator[str]:
    """What was rendered and is not stored so. What the server adds is none; an empty map is nothing."""
    if isinstance(rendered, dict) and isinstance(stored, dict):
        for key, value in rendered.items():
            if key in stored:
                yield from differences(value, stored[key], f"{where}.{key}")
            elif value not in ({}, [], None):
                yield f"{where}.{key} is not stored"
    elif isinstance(rendered, list) and isinstance(stored, list):
        if len(rendered) != len(stored):
            yield f"{where}: {len(rendered)} rendered, {len(stored)} stored"
        for number, (one, other) in enumerate(zip(rendered, stored, strict=False)):
            yield from differences(one, other, f"{where}[{number}]")
    elif rendered != stored:
        yield f"{where}: {rendered!r} rendered, {stored!r} stored"
