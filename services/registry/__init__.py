"""The registry: the city's description, persons' accounts, and the identities of terminals and devices."""
