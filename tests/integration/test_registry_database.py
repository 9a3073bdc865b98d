"""What the registry's database refuses from anybody, in plain SQL as the registry's own role (4, S6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from registry_hub import RunningRegistry, running_registry

from alerthub.domain.errors import Retry
from alerthub.embedded.infrastructure import Infrastructure

Unique = Callable[[str], str]
HASH = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaA"


@pytest.fixture(scope="module")
def registry(
    infrastructure: Infrastructure, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningRegistry]:
    """A registry that has made its schema and its first accounts, and ended."""
    for running in running_registry(infrastructure, tmp_path_factory.mktemp("registry")):
        running.stop()
        yield running


def refused(registry: RunningRegistry, statement: str, constraint: str, **values: str) -> None:
    """The statement fails by this constraint, and would not without it."""
    with pytest.raises(Retry) as error:
        registry.sql(f"\\set VERBOSITY verbose\n{statement}", **values)
    assert constraint in str(error.value)


def propose(registry: RunningRegistry, unique: Unique, account: str, *, by: str = "editor") -> str:
    """A proposal for ROLE_OFFICER; returns its id."""
    proposal = unique("proposal")
    registry.sql(
        "INSERT INTO account_proposal (proposal_id, account, roles, proposed_by, proposed_at_ms)"
        " VALUES (:'proposal', :'account', '{ROLE_OFFICER}', :'by', 1)",
        proposal=proposal,
        account=account,
        by=by,
    )
    return proposal


APPROVE = (
    "UPDATE account_proposal SET approved_by = :'by', approved_at_ms = 2 WHERE proposal_id = :'proposal'"
)
INSERT_ACCOUNT = (
    "INSERT INTO account (account, password_hash, roles, proposal_id, made_proposed_by, made_approved_by,"
    " created_at_ms) VALUES (:'account', :'hash', '{ROLE_OFFICER}', :'proposal', :'proposer', :'approver', 3)"
)


def create(
    registry: RunningRegistry,
    account: str,
    proposal: str,
    proposer: str = "editor",
    approver: str = "editor-2",
) -> None:
    registry.sql(
        INSERT_ACCOUNT, account=account, hash=HASH, proposal=proposal, proposer=proposer, approver=approver
    )


def test_nobody_approves_their_own_proposal(registry: RunningRegistry, unique: Unique) -> None:
    proposal = propose(registry, unique, unique("account"))
    refused(registry, APPROVE, "account_proposal_two_persons", proposal=proposal, by="editor")
    registry.sql(APPROVE, proposal=proposal, by="editor-2")


def test_nobody_approves_what_they_gain(registry: RunningRegistry, unique: Unique) -> None:
    proposal = propose(registry, unique, "editor-2")
    refused(registry, APPROVE, "account_proposal_not_by_who_gains", proposal=proposal, by="editor-2")


def test_nobody_proposes_what_they_gain(registry: RunningRegistry) -> None:
    statement = (
        "INSERT INTO account_proposal (proposal_id, account, roles, proposed_by, proposed_at_ms)"
        " VALUES ('p', 'editor', '{ROLE_OFFICER}', 'editor', 1)"
    )
    refused(registry, statement, "account_proposal_not_to_oneself")


def test_what_has_ended_is_not_approved(registry: RunningRegistry, unique: Unique) -> None:
    end = "UPDATE account_proposal SET ended_at_ms = 2"
    ended, both = propose(registry, unique, unique("account")), propose(registry, unique, unique("account"))
    registry.sql(f"{end} WHERE proposal_id = :'proposal'", proposal=ended)
    refused(registry, APPROVE, "account_proposal_is_final", proposal=ended, by="editor-2")
    at_once = f"{end}, approved_by = 'editor-2', approved_at_ms = 2 WHERE proposal_id = :'proposal'"
    refused(registry, at_once, "account_proposal_ended_is_not_approved", proposal=both)


def test_nobody_approves_with_an_account_that_they_made(registry: RunningRegistry, unique: Unique) -> None:
    puppet = unique("puppet")
    proposal = propose(registry, unique, puppet)
    registry.sql(APPROVE, proposal=proposal, by="editor-2")
    create(registry, puppet, proposal)
    for proposer in ("editor", "editor-2"):
        another = propose(registry, unique, unique("account"), by=proposer)
        refused(registry, APPROVE, "account_proposal_not_by_an_own_account", proposal=another, by=puppet)
    by_puppet = propose(registry, unique, unique("account"), by=puppet)
    refused(registry, APPROVE, "account_proposal_not_by_an_own_account", proposal=by_puppet, by="editor-2")
    registry.sql(APPROVE, proposal=by_puppet, by="editor-3")


@pytest.mark.parametrize(
    "change", ["roles = '{ROLE_SUPERVISOR}'", "account = 'a'", "approved_by = 'editor-3'"]
)
def test_what_was_approved_stays_as_it_was_approved(
    registry: RunningRegistry, unique: Unique, change: str
) -> None:
    proposal = propose(registry, unique, unique("account"))
    registry.sql(APPROVE, proposal=proposal, by="editor-2")
    statement = f"UPDATE account_proposal SET {change} WHERE proposal_id = :'proposal'"  # noqa: S608 - ours
    refused(registry, statement, "account_proposal_is_final", proposal=proposal)


def test_no_account_without_an_approved_proposal(registry: RunningRegistry, unique: Unique) -> None:
    account = unique("account")
    waiting = propose(registry, unique, account)
    values = {"account": account, "hash": HASH, "proposer": "editor", "approver": "editor-2"}
    refused(registry, INSERT_ACCOUNT, "account_needs_two_persons", proposal=waiting, **values)
    statement = (
        "INSERT INTO account (account, password_hash, roles, created_at_ms)"
        " VALUES (:'account', :'hash', '{ROLE_OFFICER}', 3)"
    )
    refused(registry, statement, "account_needs_two_persons", account=account, hash=HASH)
    registry.sql(APPROVE, proposal=waiting, by="editor-2")
    create(registry, account, waiting)


def test_no_first_account_after_the_first_ones(registry: RunningRegistry) -> None:
    statement = (
        "INSERT INTO account (account, password_hash, roles, bootstrap, created_at_ms)"
        " VALUES ('late', :'hash', '{ROLE_REGISTRY_EDITOR}', true, 3)"
    )
    refused(registry, statement, "account_bootstrap_is_first", hash=HASH)


def test_no_role_without_a_proposal_of_its_own(registry: RunningRegistry, unique: Unique) -> None:
    statement = "UPDATE account SET roles = '{ROLE_SUPERVISOR}' WHERE account = 'operator'"
    refused(registry, statement, "account_needs_two_persons")
    proposal = propose(registry, unique, "operator")
    grant = (
        "UPDATE account SET roles = '{ROLE_OFFICER}', proposal_id = :'proposal' WHERE account = 'operator'"
    )
    refused(registry, grant, "account_needs_two_persons", proposal=proposal)
    registry.sql(APPROVE, proposal=proposal, by="editor-2")
    registry.sql(grant, proposal=proposal)
    # It cannot be used again to go back to what it gave.
    back = "UPDATE account SET roles = '{ROLE_OPERATOR}' WHERE account = 'operator'"
    refused(registry, back, "account_needs_two_persons")


def test_no_return_from_revocation_without_two_persons(registry: RunningRegistry) -> None:
    registry.sql("UPDATE account SET revoked_at_ms = 5 WHERE account = 'officer'")
    statement = "UPDATE account SET revoked_at_ms = NULL WHERE account = 'officer'"
    refused(registry, statement, "account_needs_two_persons")


def test_how_an_account_came_to_be_does_not_change(registry: RunningRegistry) -> None:
    statement = "UPDATE account SET made_proposed_by = 'somebody' WHERE account = 'auditor'"
    refused(registry, statement, "account_origin_is_final")


def test_a_password_is_kept_as_argon2id_only(registry: RunningRegistry) -> None:
    statement = "UPDATE account SET password_hash = 'readable' WHERE account = 'auditor'"
    refused(registry, statement, "account_password_is_argon2id")


@pytest.mark.parametrize(
    ("values", "constraint"),
    [
        ("' ', 'purpose', '{stolen}', 1, 2", "check_authorisation_has_legal_basis"),
        ("'law', '', '{stolen}', 1, 2", "check_authorisation_has_purpose"),
        ("'law', 'purpose', '{}', 1, 2", "check_authorisation_has_categories"),
        ("'law', 'purpose', '{stolen}', 0, 2", "check_authorisation_has_from"),
        ("'law', 'purpose', '{stolen}', 2, 2", "check_authorisation_from_before_until"),
        ("NULL, 'purpose', '{stolen}', 1, 2", "legal_basis"),
        ("'law', 'purpose', '{stolen}', 1, NULL", "valid_until_ms"),
    ],
)
def test_no_check_authorisation_without_its_grounds(
    registry: RunningRegistry, values: str, constraint: str
) -> None:
    columns = "(authorisation_id, legal_basis, purpose, categories, valid_from_ms, valid_until_ms)"
    insert = f"INSERT INTO check_authorisation {columns} VALUES ('a', "  # noqa: S608 - of ours
    refused(registry, f"{insert}{values})", constraint)


def test_no_enrolment_code_lives_longer_than_an_hour(registry: RunningRegistry) -> None:
    statement = (
        "INSERT INTO enrolment_code"
        " (code_sha256, terminal_id, unit_id, created_by, created_at_ms, valid_until_ms)"
        " VALUES (sha256('x'), 't', 'u', 'person:editor', 0, 3600001)"
    )
    refused(registry, statement, "enrolment_code_lives_an_hour")


def test_nothing_refers_to_what_does_not_exist(registry: RunningRegistry) -> None:
    statement = "INSERT INTO resource_reference VALUES ('rule', 'r', 'zone', 'no-such-zone')"
    refused(registry, statement, "violates foreign key constraint")


def test_the_secret_of_a_device_is_a_hash(registry: RunningRegistry) -> None:
    statement = "INSERT INTO device_secret VALUES ('cam', 'readable', 1, 'person:editor')"
    refused(registry, statement, "device_secret_is_a_hash")


def test_the_audit_log_takes_nothing_back(registry: RunningRegistry) -> None:
    refused(registry, "DELETE FROM audit_entry", "audit_entry")
    refused(registry, "UPDATE audit_entry SET actor = 'person:nobody'", "audit_entry")
