"""Modules of version 0.1.0 under the names that they had then.

This folder is on the path of the package, so `asid_plugin.checkpoint` is `moved/checkpoint.py`. Each hands on the names
of its successor and warns; they go away with version 1.0.
"""
