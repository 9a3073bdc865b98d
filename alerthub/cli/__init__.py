"""The `alerthub` command."""
