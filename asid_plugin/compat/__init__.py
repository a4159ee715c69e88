"""Corrections of the frameworks that this package works in, one function each; no file of theirs is changed."""
