"""The project's own tests of a GPU."""

import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

from .setup import ROOT, Setup, Table, Tables, lacking


def test_files() -> list[Path]:
    """Where tests marked gpu are; without BasicSR and MMEngine, of the folder whose tests look for them first."""
    if lacking('basicsr', 'mmengine'):
        return [ROOT / 'tests' / 'gpu']
    return sorted(path for path in (ROOT / 'tests').rglob('test_*.py') if 'mark.gpu' in path.read_text('utf-8'))


def run(setup: Setup) -> Tables:
    """`pytest -m gpu`; with `--device cpu` those of the same files that run in a moment on a CPU."""
    marks = 'gpu' if setup.device == 'cuda' else 'not gpu and not slow'
    files = test_files() if setup.device == 'cuda' else [ROOT / 'tests' / 'gpu' / 'test_gpu_network.py']
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / 'report.xml'
        options = ['-q', '-p', 'no:cacheprovider', '-m', marks, f'--junitxml={report}']
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))
        done = subprocess.run(
            [sys.executable, '-m', 'pytest', *options, *map(str, files)],
            cwd=ROOT,
            env=os.environ | {'PYTHONPATH': path},
            stdout=sys.stderr,
            check=False,
        )
        table = table_of(report) if report.exists() else Table('', [])
    if done.returncode and not table.failures:
        table.failures.append(f'pytest ended with exit status {done.returncode}')
    missing = lacking('basicsr', 'mmengine')
    if missing:
        table.notes.append(f'Not installed: {", ".join(missing)}; the tests that need it are skipped.')
    yield table


def table_of(report: Path) -> Table:
    """How many tests of each file passed, failed and were skipped, from pytest's JUnit report."""
    counts: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(('passed', 'failed', 'skipped', 's'), 0))
    table = Table('Tests', ['file', 'passed', 'failed', 'skipped', 's'])
    for case in ElementTree.parse(report).iter('testcase'):
        count = counts[case.get('classname') or case.get('name') or '?']
        count['s'] += float(case.get('time', 0))
        wrong = [child for child in case if child.tag in ('failure', 'error')]
        skipped = any(child.tag == 'skipped' for child in case)
        count['failed' if wrong else 'skipped' if skipped else 'passed'] += 1
        for child in wrong:
            message = (child.get('message') or '').splitlines() or ['']
            table.failures.append(f'{case.get("classname")}::{case.get("name")}: {message[0][:300]}')
    table.rows = [[name, *(f'{number:.0f}' for number in count.values())] for name, count in counts.items()]
    return table
