"""Mends of the frameworks that this package works in, one function per mend; no file of theirs is touched."""
