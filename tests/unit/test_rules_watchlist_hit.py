"""A listed identifier was read: when that is an alert, and what the alert says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from correlator_builders import (
    AUTHORISATION,
    DEVICE,
    HIT_RULE,
    NOW,
    Entries,
    catalogue,
    entry,
    knowledge,
    read,
    run,
    token,
)

from alerthub.domain.correlation import Knowledge
from alerthub.domain.matching_index import Entry
from alerthub.domain.resources import (
    CheckAuthorisation,
    DispatchPolicy,
    LifeStatus,
    Rule,
    Severity,
    WatchlistHitParameters,
)
from alerthub.domain.rules.interface import WatchlistMatch, raised_id
from alerthub.domain.schedule import Hours, Schedule


def against(*entries: Entry, rule: Rule = HIT_RULE, **registered: object) -> Knowledge:
    filled = catalogue(rules=[rule], **registered)  # type: ignore[arg-type] # as catalogue takes them
    return knowledge(Entries(*(entries or (entry(),))).index, filled.at(NOW))


def match_of(result: object) -> WatchlistMatch:
    assert isinstance(result, WatchlistMatch)
    return result


def test_a_listed_token_raises_one_alert_that_names_entry_rule_and_identifier() -> None:
    result = run(read("a", "listed"))

    [raised] = result.raised
    match = match_of(raised.match)
    assert (match.entry_id, match.mask, match.token) == ("entry-1", "exact", token("listed"))
    assert raised.fold_key == "entry:entry-1"
    assert raised.raised_id == raised_id("hit", "entry:entry-1", token("observation a"))
    assert raised.jurisdiction == "jurisdiction-1"


def test_another_plate_raises_nothing() -> None:
    assert run(read("a", "another")).raised == []


@pytest.mark.parametrize(
    ("authorisation", "why"),
    [
        (replace(AUTHORISATION, categories=("wanted-person",)), "another category"),
        (replace(AUTHORISATION, authorisation_id="other"), "another authorisation"),
        (replace(AUTHORISATION, status=LifeStatus.SUSPENDED), "suspended"),
        (replace(AUTHORISATION, valid_until_ms=NOW), "ended"),
        (replace(AUTHORISATION, valid_from_ms=NOW + 1), "not begun"),
    ],
)
def test_an_authorisation_that_does_not_cover_the_hit_withholds_it(
    authorisation: CheckAuthorisation, why: str
) -> None:
    result = run(read("a", "listed"), against=against(authorisations=[authorisation]))

    assert result.raised == [], why
    assert result.not_covered == 1


def test_a_device_without_authorisation_withholds_the_hit() -> None:
    assert run(read("a", "listed"), against=against(authorisations=[])).raised == []


@pytest.mark.parametrize("status", [LifeStatus.SUSPENDED, LifeStatus.REMOVED])
def test_a_device_that_is_not_active_withholds_the_hit(status: LifeStatus) -> None:
    assert run(read("a", "listed"), against=against(devices=[replace(DEVICE, status=status)])).raised == []


def test_a_mask_that_the_rule_does_not_accept_withholds_the_hit() -> None:
    listed = entry(tokens=[("no-province", "listed")])

    assert run(read("a", "listed"), against=against(listed)).raised == []


def test_an_exact_hit_is_preferred_to_an_inexact_one_of_the_same_entry() -> None:
    listed = entry(tokens=[("confusable", "folded"), ("exact", "listed")])

    result = run(read("a", "folded", "listed"), against=against(listed))

    assert [match_of(raised.match).mask for raised in result.raised] == ["exact"]


@pytest.mark.parametrize(("confidence", "fires"), [(0.5, False), (0.8, True), (0.0, True)])
def test_a_read_below_the_rules_confidence_is_withheld_unless_the_device_gives_none(
    confidence: float, fires: bool
) -> None:
    rule = replace(HIT_RULE, watchlist_hit=WatchlistHitParameters(("exact",), 0.75))

    result = run(read("a", "listed", confidence=confidence), against=against(rule=rule))

    assert bool(result.raised) is fires


def test_outside_its_schedule_the_rule_is_silent() -> None:
    # NOW is a Friday, 08:00 UTC
    monday = Schedule("UTC", (Hours((1,), 0, 1_440),))

    assert run(read("a", "listed"), against=against(rule=replace(HIT_RULE, schedule=monday))).raised == []


def test_the_more_urgent_severity_of_entry_and_rule_counts() -> None:
    for of_entry, of_rule in ((Severity.CRITICAL, Severity.MINOR), (Severity.MINOR, Severity.CRITICAL)):
        result = run(
            read("a", "listed"),
            against=against(entry(severity=of_entry), rule=replace(HIT_RULE, severity=of_rule)),
        )
        assert result.raised[0].severity is Severity.CRITICAL


@pytest.mark.parametrize(
    ("of_entry", "of_rule", "expected"),
    [
        (DispatchPolicy.SEND_AT_ONCE, DispatchPolicy.SEND_AT_ONCE, DispatchPolicy.SEND_AT_ONCE),
        (DispatchPolicy.CONFIRM_FIRST, DispatchPolicy.SEND_AT_ONCE, DispatchPolicy.CONFIRM_FIRST),
        (DispatchPolicy.SEND_AT_ONCE, DispatchPolicy.CONFIRM_FIRST, DispatchPolicy.CONFIRM_FIRST),
    ],
)
def test_the_stricter_policy_of_entry_and_rule_counts(
    of_entry: DispatchPolicy, of_rule: DispatchPolicy, expected: DispatchPolicy
) -> None:
    result = run(
        read("a", "listed"), against=against(entry(policy=of_entry), rule=replace(HIT_RULE, policy=of_rule))
    )

    assert result.raised[0].policy is expected


def test_an_entry_that_names_a_person_is_confirmed_first_whatever_its_policy() -> None:
    person = entry(names_person=True, policy=DispatchPolicy.SEND_AT_ONCE)

    assert run(read("a", "listed"), against=against(person)).raised[0].policy is DispatchPolicy.CONFIRM_FIRST


@pytest.mark.parametrize("authentication_class", [0, 3, 4])
def test_a_weakly_authenticated_device_never_sends_at_once(authentication_class: int) -> None:
    result = run(read("a", "listed", authentication_class=authentication_class))

    assert result.raised[0].policy is DispatchPolicy.CONFIRM_FIRST


def test_the_entrys_unit_kind_goes_before_the_rules() -> None:
    assert run(read("a", "listed"), against=against(entry(unit_kind="swat"))).raised[0].unit_kind == "swat"
    assert run(read("a", "listed")).raised[0].unit_kind == "patrol"


def test_a_read_that_comes_too_late_is_counted_and_not_raised() -> None:
    result = run(read("a", "listed", at_ms=NOW - 60_001))

    assert (result.raised, result.late) == ([], 1)


def test_a_clock_that_runs_ahead_does_not_make_a_read_late() -> None:
    assert len(run(read("a", "listed", at_ms=NOW + 10_000_000)).raised) == 1
