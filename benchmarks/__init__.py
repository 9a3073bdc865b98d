"""Benchmarks that print ratios to named baselines: `python -m benchmarks [NAME ...]`, or `make bench`."""
