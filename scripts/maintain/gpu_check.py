"""Check ASID on a machine with a GPU, in twenty minutes on one card, and write one report.

    bash scripts/gpu_check.sh --out gpu_report                       # everything, in this order
    bash scripts/gpu_check.sh --out gpu_report --only forward training
    bash scripts/gpu_check.sh --out gpu_report --device cpu --small  # a test of the check itself, without a GPU

Parts, and the packages they need besides torch, numpy and tqdm. A part with missing packages is skipped, and the
report says so:

{parts}

OUT/gpu_check.md and OUT/gpu_check.json are rewritten after each part. Each part runs in a separate process. If it
fails or exceeds its share of --minutes (plus time saved by earlier parts), this is recorded, and the next part begins.
docs/gpu.md explains the report.

Exit status: 0, no part failed; 1, a part failed; 2, no part was run; 130, interrupted.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from gpu_checks import PARTS, Part
from gpu_checks.report import STEM, Outcome, machine, write
from gpu_checks.setup import ROOT, lacking

HERE = Path(__file__).resolve().parent


def described(name: str, part: Part) -> str:
    """A line of --help."""
    needs = f'; needs {", ".join(part.packages)}' if part.packages else ''
    more = f'; more with {", ".join(part.optional)}' if part.optional else ''
    return f'    {name:17} {part.title}{needs}{more}'


def main(argv: Sequence[str] | None = None) -> int:
    """Run the parts that are asked for; returns the exit status."""
    lines = '\n'.join(described(name, part) for name, part in PARTS.items())
    description = (__doc__ or '').replace('{parts}', lines)
    parser = argparse.ArgumentParser(
        'gpu_check.sh', description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--out', type=Path, required=True, help='folder of the report')
    parser.add_argument('--only', nargs='+', choices=PARTS, metavar='PART', default=list(PARTS), help='run these parts')
    parser.add_argument('--minutes', type=float, default=20, help='limit for all parts together (default: 20)')
    parser.add_argument('--device', choices=['cuda', 'cpu'], default='cuda')
    parser.add_argument('--small', action='store_true', help='small sizes, which test the check and measure nothing')
    parser.add_argument('--threads', type=int, default=2, help='of the CPU (default: 2)')
    args = parser.parse_args(argv)
    if args.device == 'cuda' and not torch.cuda.is_available():
        parser.error(f'torch {torch.__version__} sees no GPU; --device cpu --small tests the check without one')
    try:
        return 1 if any(outcome.status == 'failed' for outcome in check(args)) else 0
    except KeyboardInterrupt:
        return 130


def check(args: argparse.Namespace) -> list[Outcome]:
    """Run the parts one after the other; writes the report after each."""
    chosen = {name: part for name, part in PARTS.items() if name in args.only}
    facts = machine(args.device) | {
        'device': args.device,
        'sizes': 'small: they measure nothing' if args.small else 'full',
    }
    deadline = time.monotonic() + 60 * args.minutes
    outcomes: list[Outcome] = []
    write(args.out, facts, outcomes)
    for number, (name, part) in enumerate(chosen.items(), 1):
        print(f'[{number}/{len(chosen)}] {name}: {part.title}', file=sys.stderr, flush=True)
        later = sum(PARTS[other].minutes for other in list(chosen)[number:])
        share = 60 * args.minutes * later / sum(part.minutes for part in chosen.values())
        outcomes.append(run_part(name, part, args, deadline - time.monotonic() - share))
        last = outcomes[-1]
        print(f'    {last.status}, {last.seconds:.0f} s{last.note and "; "}{last.note}', file=sys.stderr, flush=True)
        for failure in last.failures:
            print(f'    {failure}', file=sys.stderr, flush=True)
        write(args.out, facts, outcomes)
    print(f'{args.out / STEM}.md')
    return outcomes


def run_part(name: str, part: Part, args: argparse.Namespace, limit: float) -> Outcome:
    """Run a part in a process of its own, for `limit` seconds at most."""
    if missing := lacking(*part.packages):
        return Outcome(name, part.title, 'skipped', note=f'not installed: {", ".join(missing)}')
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tables = Path(folder) / 'tables'
        tables.touch()
        words = [name, str(tables), args.device, str(args.threads), 'small' if args.small else 'full']
        path = os.pathsep.join(filter(None, [str(HERE), str(ROOT), os.environ.get('PYTHONPATH')]))
        process = subprocess.Popen(
            [sys.executable, '-m', 'gpu_checks', *words],
            env=os.environ | {'PYTHONPATH': path},
            stdout=sys.stderr,
            start_new_session=True,
        )
        note = wait(process, limit)
        seconds = time.monotonic() - begun
        found = tables_in(tables)
    status = 'passed' if process.returncode == 0 and not note else 'failed'
    if status == 'failed' and not note and not any(table.get('failures') for table in found):
        note = f'the process ended with status {process.returncode}'
    return Outcome(name, part.title, status, seconds, note, found)


def tables_in(path: Path) -> list[dict[str, Any]]:
    """The tables that a part has written, one that grew as it was last; without a line that it was killed in."""
    lines = path.read_text('utf-8').splitlines(keepends=True)
    tables = [json.loads(line) for line in lines if line.endswith('\n')]
    return list({table.get('title'): table for table in tables}.values())


def wait(process: subprocess.Popen[bytes], limit: float) -> str:
    """Wait for a process; stops it, and all that it started, when its time is over. Returns why it was stopped."""
    try:
        process.wait(max(1, limit))
    except subprocess.TimeoutExpired:
        return f'stopped after {limit:.0f} s, its share of --minutes; figures are of what was ready'
    finally:
        if hasattr(os, 'killpg'):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()
    return ''


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that its part ends too
    sys.exit(main())
