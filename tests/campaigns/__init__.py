"""Attacks on every way into the package: seeded, with a short form for the suite and a long one for a table of figures.

PYTHONPATH=tests python -m campaigns                    all of them, the short form
PYTHONPATH=tests python -m campaigns --long kills       the long form of some
"""
