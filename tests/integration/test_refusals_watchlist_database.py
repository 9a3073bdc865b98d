"""Refusals 5 and 7 in the watchlist's database itself, whatever program writes to it."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError
from watchlist_support import (
    EDITOR,
    Hub,
    command,
    hub_fixture,  # noqa: F401 - pytest finds it by its name
    module_hub_fixture,  # noqa: F401
    new_entry,
)

from alerthub.api.v1 import watchlist_pb2
from alerthub.postgres import violated_constraint

pytestmark = pytest.mark.asyncio(loop_scope="module")

COLUMNS = {
    "entry_id": "'copy'",
    "version": "version",
    "status": "status",
    "category": "category",
    "names_person": "names_person",
    "case_number": "case_number",
    "legal_basis": "legal_basis",
    "issuing_authority": "issuing_authority",
    "authority_contact": "authority_contact",
    "instruction_chinese": "instruction_chinese",
    "instruction_english": "instruction_english",
    "valid_until_ms": "valid_until_ms",
    "entered_by": "entered_by",
    "entered_at_ms": "entered_at_ms",
    "sealed_identifiers": "sealed_identifiers",
    "identifier_count": "identifier_count",
    "masks": "masks",
}


async def entered(hub: Hub, category: str = "stolen_vehicle") -> str:
    """An entry that waits for its approval."""
    answer = await hub.as_person("lin", EDITOR).AddEntry(
        watchlist_pb2.AddEntryRequest(command_id=command(), entry=new_entry("冀RA8HK5", category=category))
    )
    return str(answer.entry_id)


async def constraint_of_a_copy(hub: Hub, **changed: str) -> str | None:
    """The constraint that a copy of the entry breaks where these columns are others."""
    values = COLUMNS | changed
    with pytest.raises(IntegrityError) as error:
        await hub.sql(
            f"INSERT INTO entry ({', '.join(values)}) SELECT {', '.join(values.values())} FROM entry"  # noqa: S608
        )
    return violated_constraint(error.value)


@pytest.mark.parametrize(
    ("column", "value", "constraint"),
    [
        ("case_number", "' '", "entry_has_case_number"),
        ("legal_basis", "' '", "entry_has_legal_basis"),
        ("issuing_authority", "' '", "entry_has_authority"),
        ("authority_contact", "' '", "entry_has_contact"),
        ("instruction_chinese", "' '", "entry_has_chinese_instruction"),
        ("instruction_english", "' '", "entry_has_english_instruction"),
        ("identifier_count", "0", "entry_names_something"),
        ("entered_by", "''", "entry_was_entered_by_somebody"),
    ],
)
async def test_refusal_5_the_database_takes_no_entry_without_its_grounds(
    hub: Hub, column: str, value: str, constraint: str
) -> None:
    await entered(hub)
    assert await constraint_of_a_copy(hub, **{column: value}) == constraint


async def test_refusal_5_the_database_takes_no_entry_without_an_end(hub: Hub) -> None:
    await entered(hub)
    with pytest.raises(IntegrityError, match="valid_until_ms"):
        await hub.sql(
            f"INSERT INTO entry ({', '.join(COLUMNS)})"  # noqa: S608 - constants of this file
            f" SELECT {', '.join((COLUMNS | {'valid_until_ms': 'NULL'}).values())} FROM entry"
        )


async def test_refusal_6_the_database_takes_no_entry_that_denies_its_person(hub: Hub) -> None:
    # given an entry of a category that names persons
    await entered(hub, category="wanted_person_vehicle")

    # when another of that category is written that names none
    broken = await constraint_of_a_copy(hub, names_person="false")

    # then it does not fit its category
    assert broken == "entry_category_names_person_fkey"


@pytest.mark.parametrize(
    "change",
    [
        "entry_id = 'another'",
        "category = 'missing_person', names_person = true",
        "case_number = 'B'",
        "legal_basis = 'another'",
        "issuing_authority = 'another'",
        "authority_contact = '1'",
        "instruction_chinese = '放行'",
        "instruction_english = 'Let it pass'",
        "valid_until_ms = valid_until_ms + 1",
        "entered_by = 'wang'",
        "entered_at_ms = 0",
        "sealed_identifiers = 'x'",
        "identifier_count = 9",
        "masks = '{confusable}'",
    ],
)
async def test_refusal_5_the_database_changes_nothing_under_the_approver(hub: Hub, change: str) -> None:
    await entered(hub)
    with pytest.raises(IntegrityError) as error:
        await hub.sql(f"UPDATE entry SET {change}")  # noqa: S608 - constants of this test
    assert violated_constraint(error.value) == "entry_is_final"


async def test_refusal_5_the_database_keeps_who_approved(hub: Hub) -> None:
    await entered(hub)
    await hub.sql("UPDATE entry SET status = 2, approved_by = 'chen', active_from_ms = 1")
    with pytest.raises(IntegrityError) as error:
        await hub.sql("UPDATE entry SET approved_by = 'wang'")
    assert violated_constraint(error.value) == "entry_is_final"


async def test_refusal_7_the_database_lets_no_entry_that_ended_begin_again(hub: Hub) -> None:
    await entered(hub)
    await hub.sql("UPDATE entry SET status = 3, ended_at_ms = 1")
    with pytest.raises(IntegrityError) as error:
        await hub.sql("UPDATE entry SET status = 2, ended_at_ms = NULL, approved_by = 'chen'")
    assert violated_constraint(error.value) == "entry_never_works_again"


async def test_refusal_5_the_database_takes_no_category_without_a_maximum(hub: Hub) -> None:
    with pytest.raises(IntegrityError) as error:
        await hub.sql("UPDATE category SET maximum_days = 0 WHERE category = 'stolen_vehicle'")
    assert violated_constraint(error.value) == "category_ends"
