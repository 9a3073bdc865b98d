"""Pure decisions: no I/O, no clock, no logger, no framework; the standard library and shapely only."""
