"""Builds a real kube-apiserver and kube-controller-manager, for the tests that install the chart.

Sources come through Go's module proxy, held against tools/kubernetes/go.sum; etcd is Debian's package,
unpacked; the kinds of Prometheus's operator and of KEDA come out of those projects' own modules. Everything
lies in the user's cache folder, which may be deleted at any time. The first build takes about seven minutes
on two cores and 4 GB of Go's own cache; after that there is nothing to do.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from alerthub.embedded.jars import cache_folder

MODULE = Path(__file__).resolve().parent / "kubernetes"
PROGRAMS = ("kube-apiserver", "kube-controller-manager")
OLDEST_GO = (1, 26)
_SECONDS_BETWEEN_LINES = 10.0


@dataclass(frozen=True, slots=True)
class ForeignKinds:
    """Custom resources of another project: its Go module, what its content hashes to, and the files."""

    module: str
    sha256: str
    files: tuple[str, ...]


FOREIGN_KINDS = (
    ForeignKinds(
        "github.com/prometheus-operator/prometheus-operator@v0.85.0",
        "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
        (
            "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
            "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
        ),
    ),
    ForeignKinds(
        "github.com/kedacore/keda/v2@v2.21.0",
        "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=",
        ("config/crd/bases/keda.sh_scaledobjects.yaml",),
    ),
)


class CannotBeHadError(Exception):
    """What is missing, and what to do about it."""


@dataclass(frozen=True, slots=True)
class Kubernetes:
    """What a cluster without machines is made of."""

    version: str
    api_server: Path
    controller_manager: Path
    etcd: Path
    foreign_kinds: tuple[Path, ...]


def kubernetes_version() -> str:
    """The one of tools/kubernetes/go.mod, such as v1.37.2."""
    found = re.search(
        r"^\s*(?:require )?k8s\.io/kubernetes (v\S+)",
        (MODULE / "go.mod").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    if found is None:
        raise CannotBeHadError(f"{MODULE / 'go.mod'} names no version of k8s.io/kubernetes")
    return found.group(1)


def built() -> Kubernetes:
    """Where the programs are, whether or not they have been built."""
    folder = _folder()
    installed = shutil.which("etcd")
    return Kubernetes(
        version=kubernetes_version(),
        api_server=folder / "kube-apiserver",
        controller_manager=folder / "kube-controller-manager",
        etcd=Path(installed) if installed else _cache() / "etcd" / "usr" / "bin" / "etcd",
        foreign_kinds=tuple(
            folder / "kinds" / Path(name).name for kinds in FOREIGN_KINDS for name in kinds.files
        ),
    )


def missing(kubernetes: Kubernetes) -> list[str]:
    """The parts that `main` would make."""
    wanted = (
        kubernetes.api_server,
        kubernetes.controller_manager,
        kubernetes.etcd,
        *kubernetes.foreign_kinds,
    )
    return [path.name for path in wanted if not path.exists()]


def _cache() -> Path:
    return cache_folder() / "kubernetes"


def _folder() -> Path:
    """Of what was built from exactly these sources."""
    told = (
        b"".join((MODULE / name).read_bytes() for name in ("go.mod", "go.sum")) + repr(FOREIGN_KINDS).encode()
    )
    return _cache() / f"{kubernetes_version()}-{hashlib.sha256(told).hexdigest()[:12]}"


def _go() -> str:
    wanted = ".".join(str(part) for part in OLDEST_GO)
    program = shutil.which("go")
    if program is None:
        raise CannotBeHadError(
            f"Go is not installed: Kubernetes is built with Go {wanted} or newer, see https://go.dev/doc/install"
        )
    said = subprocess.run([program, "env", "GOVERSION"], capture_output=True, text=True, check=True).stdout
    found = re.match(r"go(\d+)\.(\d+)", said)
    if found is None or (int(found.group(1)), int(found.group(2))) < OLDEST_GO:
        raise CannotBeHadError(f"{program} is {said.strip()}: Kubernetes is built with Go {wanted} or newer")
    return program


def _build(go: str, into: Path) -> None:
    """Compiles both programs, with a line every ten seconds."""
    version = kubernetes_version()
    packages = [f"k8s.io/kubernetes/cmd/{name}" for name in PROGRAMS]
    environment = os.environ | {"GOWORK": "off"}
    print(f"Fetching the sources of Kubernetes {version}", flush=True)
    listed = subprocess.run(
        [go, "list", "-deps", *packages],
        cwd=MODULE,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        raise CannotBeHadError(
            f"Go cannot fetch the sources of Kubernetes {version}:\n{listed.stderr[-2_000:]}"
        )
    total = len(listed.stdout.splitlines())
    stamped = "k8s.io/component-base/version"
    major, minor = version.removeprefix("v").split(".")[:2]
    flags = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    command = [go, "build", "-v", "-trimpath", "-buildvcs=false", "-o", f"{into}{os.sep}", "-ldflags"]
    command += [
        "-s -w " + " ".join(f"-X {stamped}.{name}={value}" for name, value in flags.items()),
        *packages,
    ]
    print(f"Building Kubernetes {version} (about seven minutes on two cores the first time)", flush=True)
    started = time.monotonic()
    with subprocess.Popen(
        command, cwd=MODULE, env=environment, stderr=subprocess.PIPE, text=True
    ) as building:
        said: list[str] = []
        assert building.stderr is not None
        # Linking says nothing for a minute, so whoever counts packages is not who tells of them.
        reading = threading.Thread(target=said.extend, args=(building.stderr,))
        reading.start()
        while True:
            try:
                code = building.wait(_SECONDS_BETWEEN_LINES)
                break
            except subprocess.TimeoutExpired:
                seconds = time.monotonic() - started
                print(f"  {len(said):,} of at most {total:,} packages, {seconds:.0f} s", flush=True)
        reading.join()
    if code:
        raise CannotBeHadError(f"Kubernetes {version} does not build:\n{''.join(said[-20:])}")


def _fetch_kinds(go: str, kinds: ForeignKinds, into: Path) -> None:
    print(f"Fetching {kinds.module}", flush=True)
    done = subprocess.run(
        [go, "mod", "download", "-json", kinds.module],
        cwd=into,
        env=os.environ | {"GOWORK": "off", "GOFLAGS": "-mod=mod"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CannotBeHadError(f"{kinds.module} cannot be fetched:\n{(done.stderr or done.stdout)[-2_000:]}")
    told = json.loads(done.stdout)
    if told["Sum"] != kinds.sha256:
        raise CannotBeHadError(f"{kinds.module} is not the one expected: {told['Sum']}, not {kinds.sha256}")
    for name in kinds.files:
        shutil.copyfile(Path(told["Dir"]) / name, into / Path(name).name)


def _fetch_etcd(program: Path) -> None:
    """Unpacks Debian's package: nothing is installed, and no daemon is started."""
    print("Fetching etcd", flush=True)
    folder = _cache() / "etcd"
    folder.mkdir(parents=True, exist_ok=True)
    advice = "Put etcd 3.4 or newer on the PATH (Debian: apt-get install etcd-server)"
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise CannotBeHadError(f"etcd is not installed, and this machine has no apt. {advice}")
    download = ["apt-get", "download", "-qq", "etcd-server"]
    if subprocess.run(download, cwd=folder, capture_output=True, check=False).returncode:
        # Package lists can be missing or old; only root may renew them.
        as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
        subprocess.run([*as_root, "apt-get", "update", "-qq"], capture_output=True, check=False)
        again = subprocess.run(download, cwd=folder, capture_output=True, text=True, check=False)
        if again.returncode:
            raise CannotBeHadError(f"etcd cannot be fetched: {again.stderr.strip()[-500:]}. {advice}")
    for package in folder.glob("etcd-server_*.deb"):
        subprocess.run(["dpkg-deb", "--extract", str(package), str(folder)], check=True)
        package.unlink()
    if not program.exists():
        raise CannotBeHadError(f"Debian's etcd-server holds no {program.name}. {advice}")


def main() -> None:
    kubernetes = built()
    if not missing(kubernetes):
        return
    _cache().mkdir(parents=True, exist_ok=True)
    with (_cache() / "lock").open("w") as lock:
        # Two builds at once would take twice as long each.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kubernetes.etcd.exists():
            _fetch_etcd(kubernetes.etcd)
        if not missing(kubernetes):
            return
        folder = _folder()
        making = folder.with_suffix(".making")
        shutil.rmtree(making, ignore_errors=True)
        (making / "kinds").mkdir(parents=True)
        go = _go()
        for kinds in FOREIGN_KINDS:
            _fetch_kinds(go, kinds, making / "kinds")
        _build(go, making)
        shutil.rmtree(folder, ignore_errors=True)
        # The name last: it says that everything inside is whole.
        making.rename(folder)
        print(f"Built Kubernetes {kubernetes.version} into {folder}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except CannotBeHadError as error:
        sys.exit(str(error))
