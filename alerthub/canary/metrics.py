"""Metrics of the canary. `gateway` is the address of an instance's door, of which a city has a handful."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

SET_UP = Gauge("alerthub_canary_set_up", "1 while two persons' set-up is there and whole.")
VALID_UNTIL = Gauge(
    "alerthub_canary_valid_until_timestamp_seconds",
    "When its plates, shifts and certificates end. 0: not set up.",
)
ARRIVED = Gauge(
    "alerthub_canary_arrived_timestamp_seconds",
    "When the newest read through this gateway had its receipt at the terminal. 0: none yet.",
    ["gateway"],
)
READ_TO_RECEIPT = Histogram(
    "alerthub_canary_read_to_receipt_seconds",
    "From sending a read to the hub's answer to the terminal's receipt.",
    ["gateway"],
    buckets=(0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 30),
)
SENT = Counter("alerthub_canary_reads_total", "Reads sent, by what became of them.", ["result"])
CONNECTED = Gauge("alerthub_canary_connected", "1 while its terminal has its stream.")
