"""What the embedded broker counts. Labels are outcomes and reasons only: never a device or a topic."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

connections = Gauge("alerthub_mqtt_broker_connections", "Open connections, gateways' included.")
gateways = Gauge("alerthub_mqtt_broker_gateways", "Gateways that listen.")
messages = Counter("alerthub_mqtt_broker_messages_total", "Messages of devices by outcome.", ["outcome"])
refused = Counter(
    "alerthub_mqtt_broker_refused_total", "Connections that were refused or closed, by why.", ["reason"]
)
