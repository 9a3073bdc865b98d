"""`alerthub provision files`: what a hub in containers has before anything of it runs."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner

from alerthub.cli.main import application
from alerthub.domain.errors import Refuse
from alerthub.domain.resource_checks import check_resource
from alerthub.domain.resources import Device
from alerthub.embedded.folder import HubFolder
from alerthub.embedded.infrastructure import Infrastructure
from alerthub.provision import pki
from alerthub.provision.accounts import ensure_demo_accounts
from alerthub.provision.containers import CONTAINERS
from alerthub.provision.files import FilesPlan, provision_files
from alerthub.provision.shares import secret_files
from services.registry.account_handlers import AccountHandlers

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[HubFolder, Path]:
    """A provisioned folder and its shares; nothing changes them."""
    root = tmp_path_factory.mktemp("provisioned")
    folder, shares = HubFolder(root / "hub"), root / "shares"
    provision_files(folder, FilesPlan(hosts={"gateway": ["cameras.example"]}), shares=shares, now=NOW)
    return folder, shares


def test_a_second_run_changes_nothing(made: tuple[HubFolder, Path]) -> None:
    folder, shares = made
    before = {path: path.read_bytes() for path in shares.rglob("*") if path.is_file()}
    plan = FilesPlan(hosts={"gateway": ["cameras.example"]})
    assert provision_files(folder, plan, shares=shares, now=NOW) == []
    assert {path: path.read_bytes() for path in shares.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("service", [each.name for each in CONTAINERS])
def test_a_services_share_is_what_the_table_gives_it_and_nothing_else(
    service: str, made: tuple[HubFolder, Path]
) -> None:
    folder, shares = made
    dealt = {path.name: path.read_bytes() for path in (shares / service).iterdir()}
    assert dealt == {file.name: file.source.read_bytes() for file in secret_files(folder, service)}


def test_nobody_but_the_registry_is_given_a_key_that_signs(made: tuple[HubFolder, Path]) -> None:
    folder, shares = made
    signing = {pki.authority_key_file(folder).read_text(), pki.token_signing_key_file(folder).read_text()}
    holders = {
        path.parent.name for path in shares.rglob("*") if path.is_file() and path.read_text() in signing
    }
    assert holders == {"registry"}


def test_shares_are_closed_to_everybody_but_their_owner_and_group(made: tuple[HubFolder, Path]) -> None:
    _, shares = made
    assert [path for path in shares.rglob("*") if path.stat().st_mode & stat.S_IRWXO] == []


def test_a_certificate_names_its_service_and_the_hosts_that_outsiders_use(
    made: tuple[HubFolder, Path],
) -> None:
    _, shares = made
    certificate = x509.load_pem_x509_certificate((shares / "gateway" / "tls.pem").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "gateway", "cameras.example"]
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [pki.identity("gateway")]


def test_no_device_can_have_the_common_name_of_a_service(made: tuple[HubFolder, Path]) -> None:
    """MQTT brokers of others know devices and gateways by it, and let gateways hear everything."""
    _, shares = made
    certificate = x509.load_pem_x509_certificate((shares / "gateway" / "tls.pem").read_bytes())
    [name] = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    anything = cast(Any, None)
    fields = dict.fromkeys(Device.__dataclass_fields__, anything) | {"device_id": str(name.value)}
    with pytest.raises(Refuse, match="device_id"):
        check_resource(Device(**fields), "resource", now_ms=0)


def test_a_server_of_others_has_a_certificate_and_no_identity_in_the_hub(
    made: tuple[HubFolder, Path],
) -> None:
    _, shares = made
    certificate = x509.load_pem_x509_certificate((shares / "mosquitto" / "tls.pem").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == []


def test_a_new_host_and_a_near_end_renew_the_certificate_and_its_share(tmp_path: Path) -> None:
    folder, shares = HubFolder(tmp_path / "hub"), tmp_path / "shares"
    provision_files(folder, FilesPlan(), shares=shares, now=NOW)

    named = provision_files(folder, FilesPlan(hosts={"push": ["10.0.0.7"]}), shares=shares, now=NOW)
    assert [change.subject for change in named if change.action == "renewed"] == [
        "certificate of push",
        "share push/tls.pem",
        "share push/tls.key",
    ]

    later = provision_files(folder, FilesPlan(), shares=shares, now=NOW + timedelta(days=340))
    assert "certificate of registry" in [change.subject for change in later]


def test_an_authority_of_ones_own_signs_and_without_its_key_nothing_is_made(tmp_path: Path) -> None:
    other, folder = HubFolder(tmp_path / "other"), HubFolder(tmp_path / "hub")
    for each in (other, folder):
        each.create()
    pki.ensure_pki(other, now=NOW)
    folder.ca_file.write_bytes(other.ca_file.read_bytes())

    with pytest.raises(Refuse, match=r"authority\.key"):
        provision_files(folder, FilesPlan(), shares=None, now=NOW)

    pki.authority_key_file(folder).write_bytes(pki.authority_key_file(other).read_bytes())
    provision_files(folder, FilesPlan(), shares=None, now=NOW)
    authority = x509.load_pem_x509_certificate(other.ca_file.read_bytes())
    made = x509.load_pem_x509_certificate(pki.tls_settings(folder, "gateway").certificate_file.read_bytes())
    made.verify_directly_issued_by(authority)


def test_a_key_that_is_not_the_authoritys_is_refused(tmp_path: Path) -> None:
    folder = HubFolder(tmp_path)
    folder.create()
    pki.ensure_pki(folder, now=NOW)
    pki.authority_key_file(folder).write_bytes(pki.tls_settings(folder, "push").key_file.read_bytes())
    with pytest.raises(Refuse, match=r"the key of ca\.pem"):
        provision_files(folder, FilesPlan(), shares=None, now=NOW)


def test_the_folder_of_a_hub_of_alerthub_up_is_refused(tmp_path: Path) -> None:
    folder = HubFolder(tmp_path)
    folder.create()
    folder.write_hub({"version": 1, "state": "ready"})
    with pytest.raises(Refuse, match="alerthub up"):
        provision_files(folder, FilesPlan(), shares=None, now=NOW)


def test_alerthub_up_refuses_the_folder_of_a_hub_in_containers(made: tuple[HubFolder, Path]) -> None:
    folder, _ = made
    with pytest.raises(Refuse, match="a hub in containers"):
        Infrastructure(folder).start(fresh=True)


def test_the_first_accounts_are_two_administrators_with_passwords_of_their_own(
    made: tuple[HubFolder, Path],
) -> None:
    folder, _ = made
    accounts = json.loads(folder.accounts_file.read_text())["accounts"]
    assert [(each["account"], each["roles"]) for each in accounts] == [
        ("administrator-one", ["ROLE_REGISTRY_EDITOR"]),
        ("administrator-two", ["ROLE_REGISTRY_EDITOR"]),
    ]
    assert accounts[0]["password"] != accounts[1]["password"]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["--account", "chief=registry-editor"], "--account"),
        (["--account", "chief=king", "--account", "b=operator"], "--account"),
        (["--account", "chief"], "--account"),
        (["--account", "chief=registry-editor", "--account", "chief=registry-editor"], "--account"),
        (["--account", "Chief=registry-editor", "--account", "deputy=registry-editor"], "--account"),
        (["--name", "gateway"], "--name"),
        (["--name", "gatewya=host.example"], "--name"),
        (["--host", "alerthub"], "--host"),
        (["--host", "{name}.{zone}"], "--host"),
    ],
)
def test_wrong_input_is_refused_by_its_field_and_makes_nothing(
    arguments: list[str], field: str, tmp_path: Path
) -> None:
    data = tmp_path / "hub"
    told = CliRunner().invoke(
        application(), ["provision", "files", "--data", str(data), "--json", *arguments]
    )
    assert (told.exit_code, json.loads(told.stdout)["field"]) == (2, field)
    assert not data.exists()


async def test_the_accounts_of_a_demo_are_refused_off_the_loopback(tmp_path: Path) -> None:
    folder = HubFolder(tmp_path)
    ensure_demo_accounts(folder)
    nothing = cast(Any, None)
    handlers = AccountHandlers(nothing, passwords=nothing, signer=nothing, versions=nothing, now_ms=lambda: 0)
    with pytest.raises(Refuse, match="loopback"):
        await handlers.bootstrap(folder.accounts_file, listen_host="0.0.0.0")
