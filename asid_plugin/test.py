"""`python -m asid_plugin.test -opt FILE`: BasicSR's testing, with its arguments; writes `results/` here."""

import os

from basicsr.test import test_pipeline

if __name__ == '__main__':
    test_pipeline(os.getcwd())
