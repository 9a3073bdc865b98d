"""Backups: what is in one, how it is sealed, how it is taken, verified and restored (C19)."""
