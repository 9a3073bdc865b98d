"""What the gateway counts. Labels are adapter, outcome and reason only: never a device (DESIGN, Metrics)."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

observations_accepted = Counter(
    "alerthub_gateway_observations_accepted_total",
    "Observations that the broker has acknowledged. A repeat that came after that is counted again.",
    ["adapter"],
)
observations_repeated = Counter(
    "alerthub_gateway_observations_repeated_total",
    "Repeats that came while the first was in flight and share its fate.",
    ["adapter"],
)
observations_late = Counter(
    "alerthub_gateway_observations_late_total",
    "Accepted observations that came more than a minute after they happened. Rules decide if they count.",
    ["adapter"],
)
observations_stripped = Counter(
    "alerthub_gateway_observations_stripped_total",
    "Accepted observations that lost their identifiers for want of a check authorisation (refusal 4).",
    ["adapter"],
)
identifiers_dropped = Counter(
    "alerthub_gateway_identifiers_dropped_total",
    "Identifiers dropped for want of a check authorisation (refusal 4).",
    ["adapter"],
)
calls_accepted = Counter(
    "alerthub_gateway_calls_accepted_total", "Direct calls that the broker has acknowledged.", ["adapter"]
)
refused = Counter(
    "alerthub_gateway_refused_total", "Requests and events that were not taken.", ["adapter", "reason"]
)
suspensions = Counter(
    "alerthub_gateway_device_suspensions_total",
    "Devices suspended for being far over their learnt peak (S3).",
)
pictures = Counter("alerthub_gateway_pictures_total", "Pictures by what became of them.", ["outcome"])
pictures_swept = Counter(
    "alerthub_gateway_pictures_swept_total", "Files of streaming pictures deleted, by why.", ["reason"]
)
picture_bytes = Gauge(
    "alerthub_gateway_picture_store_bytes", "Bytes of streaming pictures at the last sweep."
)
batches = Counter("alerthub_gateway_batches_total", "Kafka records of observations.", ["outcome"])
batch_size = Histogram(
    "alerthub_gateway_batch_observations",
    "Observations of a batch.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
)
in_flight = Gauge("alerthub_gateway_in_flight", "Observations that wait for the broker's acknowledgement.")
linger = Gauge("alerthub_gateway_linger_seconds", "How long a batch now waits for more observations.")
broker_seconds = Histogram(
    "alerthub_gateway_broker_seconds",
    "From an observation's batch being opened to the broker's acknowledgement.",
    buckets=(0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 2.5, 5, 10),
)
request_seconds = Histogram(
    "alerthub_gateway_request_seconds",
    "From a request's last byte to its answer.",
    ["adapter"],
    buckets=(0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 2.5, 5, 10),
)
mqtt_connections_lost = Counter(
    "alerthub_gateway_mqtt_connections_lost_total",
    "Connections to the MQTT broker that ended or never came about.",
)
key_age = Gauge("alerthub_gateway_key_synchronisation_age_seconds", "Since watchlist last answered.")
streams_closed = Counter(
    "alerthub_gateway_streams_closed_total", "Streams of edge servers that ended, by why.", ["reason"]
)
