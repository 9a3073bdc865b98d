"""Migrations of the schema `watchlist`."""
