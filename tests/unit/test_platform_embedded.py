"""The data folder, the jars' lock, the authority: what the embedded hub promises before anything runs."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from alerthub.domain.errors import NotFound, Refuse
from alerthub.embedded import jars
from alerthub.embedded.catalogue import SERVICES
from alerthub.embedded.environment import service_environment
from alerthub.embedded.folder import HubFolder, HubLock, is_running, random_secret
from alerthub.embedded.jars import LockedJar
from alerthub.embedded.processes import kill_group, spawn
from alerthub.provision import pki
from alerthub.provision.broker import cluster_id
from alerthub.settings import KafkaSettings, ServiceSettings

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> HubFolder:
    folder = HubFolder(tmp_path / "data")
    folder.create()
    return folder


def test_a_folder_whose_hub_runs_is_refused_naming_the_process(folder: HubFolder) -> None:
    HubLock(folder).acquire()
    with pytest.raises(Refuse, match=rf"process {os.getpid()}\) is already running in .*data"):
        HubLock(folder).acquire()


def test_a_folder_is_free_again_when_its_hub_has_stopped(folder: HubFolder) -> None:
    lock = HubLock(folder)
    lock.acquire()
    lock.release()
    assert not is_running(folder)


def test_a_fresh_start_empties_what_a_hub_made(folder: HubFolder) -> None:
    folder.write_hub({"version": 1})
    (folder.evidence / "picture").write_bytes(b"old")
    folder.empty()
    assert list(folder.root.iterdir()) == []


def test_a_fresh_start_refuses_a_folder_that_no_hub_made(tmp_path: Path) -> None:
    precious = tmp_path / "letters" / "precious.txt"
    precious.parent.mkdir()
    precious.write_text("mine", encoding="utf-8")
    with pytest.raises(Refuse):
        HubFolder(precious.parent).empty()
    assert precious.exists()


def test_a_folder_without_a_hub_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="alerthub up"):
        HubFolder(tmp_path).read_hub()


def test_hub_json_is_replaced_whole(folder: HubFolder) -> None:
    folder.write_hub({"state": "starting"})
    folder.write_hub({"state": "ready"})
    assert json.loads(folder.hub_file.read_text(encoding="utf-8")) == {"state": "ready"}
    assert [path.name for path in folder.root.glob(".hub.json*")] == []


def test_a_secret_is_random_kept_and_for_its_owners_eyes(folder: HubFolder) -> None:
    one, other = folder.secrets / "one", folder.secrets / "other"
    secret = random_secret(one)
    assert len(secret) == 48
    assert random_secret(one) == secret
    assert random_secret(other) != secret
    assert stat.S_IMODE(one.stat().st_mode) == 0o600


def test_the_lock_names_forty_six_jars_of_the_brokers_version() -> None:
    locked = jars.locked_jars()
    assert len(locked) == 46
    assert {jar.version for jar in locked if jar.artifact == "kafka-clients"} == {"4.3.1"}


def test_a_lock_with_another_kafka_clients_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "kafka-jars.lock"
    lock.write_text(jars.LOCK_FILE.read_text().replace("kafka-clients:4.3.1", "kafka-clients:3.9.1"))
    with pytest.raises(Refuse, match=r"kafka-clients in version 4\.3\.1"):
        jars.locked_jars(lock)


def cached(cache: Path, content: bytes) -> LockedJar:
    """A jar in the cache with this content, locked as the bytes b"genuine"."""
    jar = LockedJar("org.example", "thing", "1.0", hashlib.sha256(b"genuine").hexdigest())
    path = cache / "maven" / "org" / "example" / "thing" / "1.0" / "thing-1.0.jar"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return jar


def test_a_cached_jar_with_the_locked_bytes_is_used_without_fetching(tmp_path: Path) -> None:
    jar = cached(tmp_path, b"genuine")
    told: list[str] = []
    class_path = jars.class_path((jar,), cache=tmp_path, progress=told.append)
    assert class_path.endswith("thing-1.0.jar")
    assert told == []


def test_a_fetched_jar_with_other_bytes_is_refused_and_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jar = cached(tmp_path, b"tampered")
    path = tmp_path / "maven" / "org" / "example" / "thing" / "1.0" / "thing-1.0.jar"
    monkeypatch.setattr(jars, "_fetch", lambda *_: path.write_bytes(b"tampered again"))
    with pytest.raises(Refuse, match="sha256"):
        jars.class_path((jar,), cache=tmp_path, progress=lambda _: None)
    assert not path.exists()


def test_a_cached_jar_that_was_tampered_with_is_missing(tmp_path: Path) -> None:
    jar = cached(tmp_path, b"tampered")
    assert jars.missing_jars((jar,), cache=tmp_path) == ["thing-1.0.jar"]


def test_a_services_certificate_carries_its_identity_and_is_signed_by_the_authority(
    folder: HubFolder,
) -> None:
    pki.ensure_pki(folder, now=NOW)
    authority = x509.load_pem_x509_certificate(folder.ca_file.read_bytes())
    settings = pki.tls_settings(folder, "gateway")
    certificate = x509.load_pem_x509_certificate(settings.certificate_file.read_bytes())
    certificate.verify_directly_issued_by(authority)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://alerthub/service/gateway"]


def test_a_certificate_that_ends_soon_is_renewed_and_the_others_are_kept(folder: HubFolder) -> None:
    pki.ensure_pki(folder, now=NOW)
    before = folder.ca_file.read_bytes()
    gateway = pki.tls_settings(folder, "gateway").certificate_file
    pki.ensure_pki(folder, now=NOW + timedelta(days=340))
    assert folder.ca_file.read_bytes() == before
    assert pki.certificate_end(gateway) > NOW + timedelta(days=397)


def test_keys_are_for_their_owners_eyes(folder: HubFolder) -> None:
    pki.ensure_pki(folder, now=NOW)
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.pki.glob("*.key")} == {0o600}


def test_the_authoritys_key_belongs_to_its_certificate(folder: HubFolder) -> None:
    pki.ensure_pki(folder, now=NOW)
    key = serialization.load_pem_private_key(pki.authority_key_file(folder).read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.public_key() == x509.load_pem_x509_certificate(folder.ca_file.read_bytes()).public_key()


KAFKA = KafkaSettings(bootstrap="127.0.0.1:1234")


def test_a_service_reads_its_settings_from_the_environment_that_it_is_given(
    folder: HubFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = service_environment(
        folder,
        "dispatch",
        kafka=KAFKA,
        postgres_port=4321,
        ports={"grpc_port": 7001},
        addresses={"watchlist": "127.0.0.1:7111"},
    )
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = ServiceSettings()
    assert (settings.service, settings.grpc_port, settings.postgres.port) == ("dispatch", 7001, 4321)
    assert settings.kafka.username == settings.postgres.role == "dispatch"
    assert settings.addresses.watchlist == "127.0.0.1:7111"


@pytest.mark.parametrize("service", ["gateway", "correlator", "dispatch", "push", "watchlist"])
def test_the_authoritys_and_the_token_signers_keys_are_named_to_the_registry_alone(
    folder: HubFolder, service: str
) -> None:
    environment = service_environment(folder, service, kafka=KAFKA, postgres_port=1)
    assert not {"ALERTHUB_AUTHORITY_KEY_FILE", "ALERTHUB_TOKEN_SIGNING_KEY_FILE"} & environment.keys()


@pytest.mark.parametrize("service", ["gateway", "correlator", "dispatch", "push", "registry"])
def test_the_blinding_keys_are_named_to_the_watchlist_alone(folder: HubFolder, service: str) -> None:
    environment = service_environment(folder, service, kafka=KAFKA, postgres_port=1)
    assert not [name for name, value in environment.items() if str(folder.keys) in value]


def test_nothing_else_of_the_callers_environment_reaches_a_service(
    folder: HubFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOMEBODYS_TOKEN", "secret")
    assert "SOMEBODYS_TOKEN" not in service_environment(folder, "gateway", kafka=KAFKA, postgres_port=1)


PARENT = """
import pathlib, sys, time
from alerthub.embedded.processes import spawn
child = spawn(["/bin/sleep", "60"], log_file=pathlib.Path(sys.argv[1]), environment={})
print(child.pid, flush=True)
time.sleep(60)
"""


def runs(pid: int, command: str) -> bool:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split()
    except FileNotFoundError:
        return False
    return fields[1] == f"({command})" and fields[2] != "Z"


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        time.sleep(0.01)


def test_a_child_is_killed_by_the_kernel_when_its_parent_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        wait_for(lambda: runs(child, "sleep"))
        parent.kill()
    wait_for(lambda: not runs(child, "sleep"))


def test_a_childs_niceness_counts_beside_the_hubs_other_processes(tmp_path: Path) -> None:
    # given a niceness on top of the one that this process has
    own = os.getpriority(os.PRIO_PROCESS, 0)
    child = spawn(["/bin/sleep", "60"], log_file=tmp_path / "log", environment={}, niceness=3)
    try:
        wait_for(lambda: runs(child.pid, "sleep"))

        # then the child has it, in the same session, without which it would count for nothing, and Ctrl-C at
        # the terminal does not reach it
        assert os.getpriority(os.PRIO_PROCESS, child.pid) == min(19, own + 3)
        assert os.getsid(child.pid) == os.getsid(0)
        assert os.getpgid(child.pid) == child.pid
    finally:
        kill_group(child)


def test_what_handles_observations_gives_way_to_what_handles_alerts() -> None:
    niceness = {each.name: each.niceness for each in SERVICES}
    for_alerts = {"dispatch", "push", "watchlist", "registry", "console"}
    assert niceness["gateway"] > niceness["correlator"] > max(niceness[each] for each in for_alerts)


@pytest.mark.parametrize("first_bytes", [b"\xf8", b"\xfb\xff", b"\x00"])
def test_no_cluster_id_looks_like_an_option_of_kafkas_tools(first_bytes: bytes) -> None:
    made = cluster_id(uuid.UUID(bytes=first_bytes.ljust(16, b"\x01")))

    assert len(made) == 22
    assert not made.startswith("-")


def test_a_data_folder_is_the_same_one_from_wherever_it_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = HubFolder(Path(".alerthub"))

    monkeypatch.chdir("/")

    assert folder.hub_file == tmp_path / ".alerthub" / "hub.json"
