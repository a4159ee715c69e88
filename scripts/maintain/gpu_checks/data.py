"""Samples a second of the data loaders."""

import benchmark_data

from .setup import Setup, Table, Tables


def run(setup: Setup) -> Tables:
    """By one worker, from PNG LMDBs, raw LMDBs, and memory."""
    header, rows = benchmark_data.measured(setup.repeat, *((1, 2) if setup.small else (20, 100)))
    yield Table('64x64 LR patches at x2, one worker', header, rows)
