"""Reproduce the tables and figures of the paper, next to the reported values."""
