"""Pure decisions: no I/O, no clock, no logger, no framework. Imports the standard library and shapely only."""
