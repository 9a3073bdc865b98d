"""The dispatch service: an alert's life from the rule that fired to the outcome."""
