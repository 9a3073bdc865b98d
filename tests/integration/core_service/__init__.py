"""A service of tests only: the shared tables, and one of its own."""
