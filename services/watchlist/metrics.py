"""Metrics of the watchlist. No label names a person, an entry or a token."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

changes = Counter(
    "alerthub_watchlist_changes_total", "Entries by what became of them.", ["status", "category"]
)
opens = Counter(
    "alerthub_watchlist_opens_total",
    "Looks at identifying data, by for whom and how they ended.",
    ["for", "outcome"],
)
seals = Counter("alerthub_watchlist_seals_total", "Fired observations sealed for their alert.", ["outcome"])
keyed_again = Counter("alerthub_watchlist_keyed_again_total", "Entries published with a new epoch's tokens.")
keys_destroyed = Counter("alerthub_watchlist_keys_destroyed_total", "Keys whose time had come.", ["kind"])
steps = Counter("alerthub_watchlist_matching_steps_total", "Steps of masks and epochs.", ["step"])
gateways_live = Gauge("alerthub_watchlist_gateways_live", "Gateways that reported lately.")
gateways_behind = Gauge(
    "alerthub_watchlist_gateways_behind", "Live gateways that have not prepared the newest configuration."
)
epoch_age = Gauge("alerthub_watchlist_epoch_age_seconds", "Age of the epoch in force.")
