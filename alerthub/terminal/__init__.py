"""The patrol terminal: a client library and a terminal program on it."""
