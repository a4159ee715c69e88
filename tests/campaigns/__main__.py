"""Run campaigns and print their figures: python -m campaigns [--long] [--seed N] [NAME ...]."""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from .figures import Row, as_table

CAMPAIGNS = ('options', 'checkpoints', 'images', 'lmdbs', 'full_disk', 'kills', 'mmengine_kills')
"""Modules of this package: each has `run(folder, seed, long)`, a generator of rows."""


def run_campaign(name: str, folder: Path, seed: int, long: bool) -> Iterator[Row]:
    """Run one in a folder of its own."""
    folder.mkdir(parents=True)
    yield from import_module(f'campaigns.{name}').run(folder, seed, long)


def main() -> int:
    """Run those that are named, or all; the exit status is 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog='python -m campaigns', description=__doc__)
    parser.add_argument('names', nargs='*', metavar='NAME', help=', '.join(CAMPAIGNS))
    parser.add_argument('--long', action='store_true', help='as many trials as SECURITY.md gives figures of')
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix='campaigns_') as folder:
        for name in args.names or CAMPAIGNS:
            begun = time.monotonic()
            for row in run_campaign(name, Path(folder, name), args.seed, args.long):
                rows.append(row)
                print(as_table([row]).splitlines()[-1], *row.broken, sep='\n', file=sys.stderr, flush=True)
            print(f'{name}: {time.monotonic() - begun:.0f} s', file=sys.stderr, flush=True)
    print(as_table(rows))
    return 1 if any(row.broken for row in rows) else 0


if __name__ == '__main__':
    sys.exit(main())
