"""Programs that run beside devices and speak for them at the gateway's door."""
