"""The push half of dispatch: holds the patrol terminals' streams, and no table."""
