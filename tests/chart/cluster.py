"""A cluster without machines: etcd, a real API server and its controllers, on the loopback.

Pods are made and admitted as everywhere; none ever runs, since there is no kubelet. Where a story needs one
to have ended, it says so itself (`Cluster.report_ended`).
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import yaml
from build_kubernetes import Kubernetes
from certificates import Authority

from alerthub.embedded import processes

START_SECONDS = 60.0
Object = dict[str, Any]


def until(condition: Callable[[], Any], what: str, *, seconds: float = 30.0) -> Any:
    """The condition's first true answer; fails with `what` was waited for."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"after {seconds:.0f} s: {what}"
        time.sleep(0.1)
    return found


class Client:
    """One user of the API, known by a certificate."""

    def __init__(self, address: str, authority: Path, certificate: Path) -> None:
        trusted = ssl.create_default_context(cafile=authority)
        trusted.load_cert_chain(certificate)
        self._http = httpx.Client(base_url=address, verify=trusted, timeout=30)

    def close(self) -> None:
        self._http.close()

    def get(self, path: str) -> Object:
        answer = self._http.get(path)
        answer.raise_for_status()
        found: Object = answer.json()
        return found

    def find(self, manifest: Object, namespace: str) -> Object:
        """What is stored under the manifest's kind and name."""
        return self.get(f"{self._path(manifest, namespace)}/{manifest['metadata']['name']}")

    def create(
        self, manifest: Object, namespace: str = "", *, only_try: bool = False, strict: bool = True
    ) -> httpx.Response:
        """`only_try` goes through validation and admission and stores nothing. `strict` refuses fields that
        the API does not know, which it would else drop."""
        asked = {"fieldValidation": "Strict" if strict else "Ignore"} | (
            {"dryRun": "All"} if only_try else {}
        )
        return self._http.post(self._path(manifest, namespace), json=manifest, params=asked)

    def report(self, manifest: Object, namespace: str, status: Object) -> None:
        self._http.patch(
            f"{self._path(manifest, namespace)}/{manifest['metadata']['name']}/status",
            content=json.dumps({"status": status}),
            headers={"Content-Type": "application/strategic-merge-patch+json"},
        ).raise_for_status()

    def of_kind(self, api_version: str, kind: str, namespace: str, selector: str = "") -> list[Object]:
        asked = f"?labelSelector={selector}" if selector else ""
        listed = self.get(self._path({"apiVersion": api_version, "kind": kind}, namespace) + asked)
        return [each | {"apiVersion": api_version, "kind": kind} for each in listed["items"]]

    def everything(self, namespace: str) -> set[tuple[str, str]]:
        """Kind and name of all that is stored in the namespace."""
        found = set()
        for api_version in self._versions():
            for resource in self._resources(api_version):
                if not resource["namespaced"] or "list" not in resource["verbs"] or "/" in resource["name"]:
                    continue
                listed = self.get(f"{_base(api_version)}/namespaces/{namespace}/{resource['name']}")
                found |= {(resource["kind"], each["metadata"]["name"]) for each in listed["items"]}
        return found

    def _versions(self) -> Iterator[str]:
        yield "v1"
        for group in self.get("/apis")["groups"]:
            yield group["preferredVersion"]["groupVersion"]

    def _resources(self, api_version: str) -> list[Object]:
        resources: list[Object] = self.get(_base(api_version))["resources"]
        return resources

    def _path(self, manifest: Object, namespace: str) -> str:
        api_version, kind = manifest["apiVersion"], manifest["kind"]
        found = [
            each for each in self._resources(api_version) if each["kind"] == kind and "/" not in each["name"]
        ]
        assert found, f"the API has no {kind} of {api_version}"
        within = f"/namespaces/{namespace}" if found[0]["namespaced"] else ""
        return f"{_base(api_version)}{within}/{found[0]['name']}"


def _base(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


class Cluster:
    """Starts with `with`; ends with everything that it started."""

    def __init__(self, kubernetes: Kubernetes, folder: Path) -> None:
        self._kubernetes = kubernetes
        self._folder = folder
        self._authority = Authority(folder)
        self._etcd_port, self._etcd_peers, self._api_port, self._controllers_port = processes.free_ports(4)
        self._running: list[subprocess.Popen[bytes]] = []
        self._clients: list[Client] = []

    @cached_property
    def administrator(self) -> Client:
        return self.client("administrator", groups=["system:masters"])

    def client(self, user: str, *, groups: Sequence[str] = ()) -> Client:
        certificate = self._authority.certificate(user, groups=groups)
        made = Client(f"https://127.0.0.1:{self._api_port}", self._authority.file, certificate)
        self._clients.append(made)
        return made

    def kubeconfig(self, user: str, *, groups: Sequence[str] = (), namespace: str = "default") -> Path:
        certificate = self._authority.certificate(user, groups=groups)
        path = self._folder / f"{user}.{namespace}.kubeconfig"
        known = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "only",
            "contexts": [
                {"name": "only", "context": {"cluster": "only", "user": user, "namespace": namespace}}
            ],
            "clusters": [
                {
                    "name": "only",
                    "cluster": {
                        "server": f"https://127.0.0.1:{self._api_port}",
                        "certificate-authority": str(self._authority.file),
                    },
                }
            ],
            "users": [
                {
                    "name": user,
                    "user": {"client-certificate": str(certificate), "client-key": str(certificate)},
                }
            ],
        }
        path.write_text(yaml.safe_dump(known), encoding="utf-8")
        return path

    @contextlib.contextmanager
    def report_ended(self, namespace: str, selector: str) -> Iterator[None]:
        """Meanwhile says of each selected pod that it ended well, which a machine's kubelet would say."""
        over = threading.Event()
        failed: list[BaseException] = []

        def tell() -> None:
            try:
                while not over.wait(0.1):
                    for pod in self.administrator.of_kind("v1", "Pod", namespace, selector):
                        if pod["status"]["phase"] == "Pending":
                            self.administrator.report(pod, namespace, {"phase": "Succeeded"})
            except BaseException as error:  # noqa: BLE001 - told to whoever waits
                failed.append(error)

        telling = threading.Thread(target=tell)
        telling.start()
        try:
            yield
        finally:
            over.set()
            telling.join()
        if failed:
            raise failed[0]

    def __enter__(self) -> Cluster:
        try:
            self._start_etcd()
            self._start_api_server()
            self._start_controllers()
            for path in self._kubernetes.foreign_kinds:
                self._install_kind(yaml.safe_load(path.read_text(encoding="utf-8")))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients:
            client.close()
        for process in reversed(self._running):
            processes.stop(process, with_signal=signal.SIGTERM, grace_seconds=10)

    def _start(self, name: str, command: Sequence[str], ready: Callable[[], bool]) -> None:
        log_file = self._folder / f"{name}.log"
        process = processes.spawn(command, log_file=log_file, environment=dict(os.environ))
        self._running.append(process)
        processes.wait_until(
            ready, process=process, what=name, log_file=log_file, timeout_seconds=START_SECONDS
        )

    def _start_etcd(self) -> None:
        server = self._authority.certificate("etcd")
        clients, peers = (f"https://127.0.0.1:{port}" for port in (self._etcd_port, self._etcd_peers))
        command = [
            str(self._kubernetes.etcd),
            f"--data-dir={self._folder / 'etcd'}",
            f"--listen-client-urls={clients}",
            f"--advertise-client-urls={clients}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
            "--unsafe-no-fsync",
            "--client-cert-auth",
            "--peer-client-cert-auth",
        ]
        for part in ("", "peer-"):
            command += [
                f"--{part}cert-file={server}",
                f"--{part}key-file={server}",
                f"--{part}trusted-ca-file={self._authority.file}",
            ]
        self._start("etcd", command, lambda: processes.is_listening(self._etcd_port))

    def _start_api_server(self) -> None:
        server, etcd = (self._authority.certificate(name) for name in ("kube-apiserver", "etcd-client"))
        accounts = self._authority.key("service-accounts")
        command = [
            str(self._kubernetes.api_server),
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self._api_port}",
            f"--tls-cert-file={server}",
            f"--tls-private-key-file={server}",
            f"--client-ca-file={self._authority.file}",
            "--anonymous-auth=false",
            # So that what is refused is refused by the namespace's policy.
            "--allow-privileged",
            "--authorization-mode=Node,RBAC",
            f"--etcd-servers=https://127.0.0.1:{self._etcd_port}",
            f"--etcd-cafile={self._authority.file}",
            f"--etcd-certfile={etcd}",
            f"--etcd-keyfile={etcd}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={accounts}",
            f"--service-account-signing-key-file={accounts}",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--endpoint-reconciler-type=none",
        ]
        self._start("kube-apiserver", command, self._api_is_ready)

    def _api_is_ready(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            self.administrator.get("/api/v1/namespaces/default")
            return True
        return False

    def _start_controllers(self) -> None:
        command = [
            str(self._kubernetes.controller_manager),
            f"--kubeconfig={self.kubeconfig('system:kube-controller-manager')}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._controllers_port}",
            f"--cert-dir={self._folder}",
            "--leader-elect=false",
            "--use-service-account-credentials",
            f"--service-account-private-key-file={self._authority.key('service-accounts')}",
            f"--root-ca-file={self._authority.file}",
        ]
        self._start("kube-controller-manager", command, self._default_account_exists)

    def _default_account_exists(self) -> bool:
        return ("ServiceAccount", "default") in {
            (each["kind"], each["metadata"]["name"])
            for each in self.administrator.of_kind("v1", "ServiceAccount", "default")
        }

    def _install_kind(self, definition: Object) -> None:
        self.administrator.create(definition).raise_for_status()
        spec = definition["spec"]
        served = f"{spec['group']}/{spec['versions'][0]['name']}"

        def is_served() -> bool:
            with contextlib.suppress(httpx.HTTPStatusError):
                resources = self.administrator.get(f"/apis/{served}")["resources"]
                return spec["names"]["kind"] in {each["kind"] for each in resources}
            return False

        until(is_served, f"{spec['names']['kind']} of {served} is served")


def secret(name: str, files: Mapping[str, bytes]) -> Object:
    """As `kubectl create secret generic NAME --from-file=FOLDER` makes it."""
    data = {key: base64.b64encode(content).decode() for key, content in files.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
