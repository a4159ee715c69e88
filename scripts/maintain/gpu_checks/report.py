"""The report of a check, in Markdown and JSON."""

import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from asid_plugin import __version__, markdown
from asid_plugin.files import staging

from .setup import ROOT

STEM = 'gpu_check'
PACKAGES = ('numpy', 'triton', 'basicsr', 'lmdb', 'mmengine', 'pytest', 'imagecodecs', 'opencv-python', 'scikit-image')


@dataclass
class Outcome:
    """How a part ended.

    Attributes:
        name: The part's.
        title: The part's.
        status: 'passed', 'failed' or 'skipped'.
        seconds: That it took.
        note: Why it was skipped or stopped.
        tables: As `Table`s, in dicts.
    """

    name: str
    title: str
    status: str
    seconds: float = 0.0
    note: str = ''
    tables: list[dict[str, Any]] = field(default_factory=list)

    @property
    def failures(self) -> list[str]:
        """Sentences: of its tables, and why it was stopped."""
        found = [failure for table in self.tables for failure in table.get('failures', [])]
        return found + ([self.note] if self.status == 'failed' and self.note else [])


def machine(device: str) -> dict[str, str]:
    """Facts about this machine, by name."""
    found = {
        'asid_plugin': f'{__version__} ({commit()})',
        'Python': platform.python_version(),
        'torch': torch.__version__,
    }
    if device == 'cuda':
        card = torch.cuda.get_device_properties(0)
        found['GPU'] = f'{card.name}, {card.total_memory / 2**30:.0f} GiB, compute capability {card.major}.{card.minor}'
        found['CUDA'] = f'{torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}'
    found['CPU'] = f'{platform.machine()}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}'
    return found | {package: installed(package) for package in PACKAGES}


def installed(package: str) -> str:
    """The version of a package, if it is there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return 'not installed'


def commit() -> str:
    """The commit of this checkout, if git tells."""
    command = ['git', '-C', str(ROOT), 'describe', '--always', '--dirty']
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return 'commit unknown'


def write(folder: Path, facts: dict[str, str], outcomes: list[Outcome]) -> None:
    """Write both files; each is there whole or not at all."""
    with staging(folder) as staged:
        found = {'machine': facts, 'parts': [asdict(outcome) for outcome in outcomes]}
        (staged / f'{STEM}.json').write_text(json.dumps(found, indent=1) + '\n', 'utf-8')
        (staged / f'{STEM}.md').write_text(in_markdown(facts, outcomes), 'utf-8')


def in_markdown(facts: dict[str, str], outcomes: list[Outcome]) -> str:
    """The report for people."""
    parts = [[o.name, o.status, f'{o.seconds:.0f}', o.note] for o in outcomes]
    blocks = [
        '# Check of ASID on this machine',
        markdown.table(['machine', ''], [[name, fact] for name, fact in facts.items()]),
        markdown.table(['part', 'ended', 's', ''], parts),
    ]
    if failures := [f'- {outcome.name}: {failure}' for outcome in outcomes for failure in outcome.failures]:
        blocks += ['## What failed', '\n'.join(map(markdown.text, failures))]
    for outcome in outcomes:
        for table in outcome.tables:
            if table.get('rows'):
                blocks += [f'## {outcome.title}: {table["title"]}', markdown.table(table['header'], table['rows'])]
            if table.get('notes'):
                blocks.append('\n'.join(table['notes']))
    return '\n\n'.join(blocks) + '\n'
