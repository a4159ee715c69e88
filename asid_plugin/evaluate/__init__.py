"""Evaluation of any network on the benchmarks: `asid evaluate --help`."""
