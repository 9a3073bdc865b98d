"""Generated from protos."""
