"""The export that several files of tests look at."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from filelock import FileLock

from asid_plugin.archs import ASID
from asid_plugin.export import subject
from helpers import command


@pytest.fixture(scope='session')
def exported(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """ASID with a block whose SAMs share matrices, a folder with weights and the command's ONNX file, and its trace.

    Of several processes of tests the first that asks makes the file; in the others the trace is None.
    """
    torch.manual_seed(0)
    net = ASID(num_feat=16, num_block=1, sharing='intra', upscale=2).eval()
    root = tmp_path_factory.getbasetemp()
    folder = (root.parent if 'PYTEST_XDIST_WORKER' in os.environ else root) / 'exported'
    with FileLock(f'{folder}.lock'):
        program = None if folder.is_dir() else _export(net, folder)
    return SimpleNamespace(net=net, folder=folder, program=program)


def _export(net: ASID, folder: Path) -> torch.export.ExportedProgram:
    unfinished = folder.with_name('unfinished')
    unfinished.mkdir(exist_ok=True)
    torch.save({'params': net.state_dict()}, unfinished / 'asid.pth')
    traced: list[torch.export.ExportedProgram] = []
    with pytest.MonkeyPatch.context() as patch:
        trace = subject.export_any_size
        patch.setattr(subject, 'export_any_size', lambda *args: traced.append(trace(*args)) or traced[0])
        assert command('export')([unfinished / 'asid.pth', unfinished / 'asid.onnx']) == 0
    unfinished.rename(folder)
    return traced[0]
