"""From a token to the entries that published it."""

from __future__ import annotations

from correlator_builders import DAY, NOW, Entries, entry, token

LISTED = token("listed")


def hits(entries: Entries, *, received_ms: int = NOW, now_ms: int = NOW) -> list[tuple[str, int]]:
    found = entries.index.matches(LISTED, received_ms=received_ms, now_ms=now_ms)
    return [(one.entry_id, one.version) for one, _ in found]


def test_a_listed_token_finds_its_entry_and_another_does_not() -> None:
    entries = Entries(entry())

    assert hits(entries) == [("entry-1", 1)]
    assert not entries.misses([token("other"), LISTED])
    assert entries.misses([token("other"), b""])


def test_two_entries_may_list_the_same_token() -> None:
    assert hits(Entries(entry("a"), entry("b"))) == [("a", 1), ("b", 1)]


def test_an_entry_matches_only_what_was_received_since_its_activation() -> None:
    entries = Entries(entry(active_from_ms=NOW))

    assert hits(entries, received_ms=NOW - 1) == []
    assert hits(entries, received_ms=NOW) == [("entry-1", 1)]


def test_an_older_version_never_replaces_a_newer_one() -> None:
    entries = Entries(entry(version=2, active=False))

    assert not entries.add(entry(version=1))
    assert hits(entries) == []


def test_each_observation_meets_the_version_of_its_time() -> None:
    entries = Entries(entry(version=1), entry(version=2, active_from_ms=NOW))

    assert hits(entries, received_ms=NOW - 1) == [("entry-1", 1)]
    assert hits(entries, received_ms=NOW) == [("entry-1", 2)]


def test_a_withdrawal_holds_at_once_for_what_was_received_before_it_too() -> None:
    entries = Entries(entry(version=1), entry(version=2, active=False, active_from_ms=NOW))

    assert hits(entries, received_ms=NOW - 1) == []
    assert entries.misses([LISTED])


def test_the_end_of_validity_holds_by_either_clock() -> None:
    entries = Entries(entry(valid_until_ms=NOW + 10))

    assert hits(entries, received_ms=NOW + 9, now_ms=NOW + 9) == [("entry-1", 1)]
    assert hits(entries, received_ms=NOW + 10, now_ms=NOW) == []
    assert hits(entries, received_ms=NOW, now_ms=NOW + 10) == []


def test_a_tombstone_removes_every_version() -> None:
    entries = Entries(entry(version=1), entry(version=2))

    entries.index.apply("entry-1", None)

    assert hits(entries) == []
    assert (len(entries.index), entries.misses([LISTED])) == (0, True)


def test_a_token_that_a_later_version_does_not_list_misses() -> None:
    entries = Entries(entry(version=1), entry(version=2, active_from_ms=NOW, tokens=[("exact", "new")]))

    assert hits(entries, received_ms=NOW) == []


def test_superseded_versions_are_forgotten_when_nothing_needs_them() -> None:
    entries = Entries(entry(version=1), entry(version=2, active_from_ms=NOW, tokens=[("exact", "new")]))

    entries.index.forget_superseded(NOW - 1)
    assert hits(entries, received_ms=NOW - 1) == [("entry-1", 1)]

    entries.index.forget_superseded(NOW)
    assert entries.misses([LISTED])
    assert not entries.misses([token("new")])


def test_an_entry_that_is_active_again_after_a_withdrawal_matches() -> None:
    entries = Entries(entry(version=1), entry(version=2, active=False), entry(version=3))

    assert hits(entries, now_ms=NOW + DAY - 1) == [("entry-1", 3)]


def test_an_empty_token_is_listed_by_nobody() -> None:
    entries = Entries(entry(tokens=[("no-province", "")]))
    assert entries.misses([b""])


def test_superseded_versions_are_forgotten_a_few_at_a_time() -> None:
    entries = Entries(*(entry(str(number)) for number in range(10)))
    for number in range(10):
        entries.add(entry(str(number), version=2, active_from_ms=NOW, tokens=[("exact", "new")]))

    entries.index.forget_superseded(NOW, at_most=9)
    assert hits(entries, received_ms=NOW - 1) == [("9", 1)]

    entries.index.forget_superseded(NOW, at_most=9)
    assert entries.misses([LISTED])
