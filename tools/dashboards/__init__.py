"""The hub's dashboards, one file each, and the rules of its objectives."""
