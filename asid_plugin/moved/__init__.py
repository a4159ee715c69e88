"""Modules under their names in version 0.1.0.

This folder is on the path of the package, so `asid_plugin.checkpoint` is `moved/checkpoint.py`. Each forwards the names
of its successor with a warning; version 1.0 will remove them.
"""
