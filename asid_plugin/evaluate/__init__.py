"""Evaluation of any network on the benchmarks: `python -m asid_plugin.evaluate --help`."""
