"""The embedded MQTT broker: it hands what devices publish to gateways, and acknowledges when they did."""
