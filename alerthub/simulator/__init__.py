"""A city that sends what real devices send, through the gateway's door for devices."""
