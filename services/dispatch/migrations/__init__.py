"""Versions of the schema `dispatch`."""
