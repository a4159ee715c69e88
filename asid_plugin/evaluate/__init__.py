"""Evaluate networks on benchmark sets: `asid evaluate --help`."""
