"""Small networks, images and commands that several tests use."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import skimage.data
import torch

import asid_plugin  # noqa: F401  # before BasicSR
from asid_plugin.archs import ASID
from asid_plugin.commands.main import main

# isort: split
from basicsr.utils.matlab_functions import imresize

TINY = {'type': 'ASID', 'num_feat': 16, 'num_block': 1, 'upscale': 2}


def write_pairs(folder: Path, num: int, size: int = 48, scale: int = 2) -> dict[str, str]:
    """Write `num` crops of a photograph and their bicubic LR; returns BasicSR's two dataroot keys."""
    photograph = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)
    for name in ('GT', 'LR'):
        (folder / name).mkdir(parents=True)
    for i in range(num):
        gt = photograph[40 * i : 40 * i + size, 180 : 180 + size + 8 * i]
        cv2.imwrite(str(folder / 'GT' / f'{i}.png'), gt)
        lq = (imresize(gt / 255.0, 1 / scale) * 255).clip(0, 255).round().astype('uint8')
        cv2.imwrite(str(folder / 'LR' / f'{i}.png'), lq)
    return {'dataroot_gt': str(folder / 'GT'), 'dataroot_lq': str(folder / 'LR')}


UNFORMATTED = """
import sys
from mmengine.config import config
from asid_plugin.commands.main import main
config.FormatCode = lambda text, **_: (text, True)
sys.exit(main())
"""
"""Code that runs a command of `asid`, and leaves out the formatting of configs, which takes most of a save's time."""
DELETED = object()
"""In the place of a value in `edit`: the key is deleted."""


def edit(options: dict[str, Any], edits: Mapping[str, Any]) -> None:
    """Change options by keys such as 'train:total_iter'."""
    for key, value in edits.items():
        *sections, last = key.split(':')
        section = options
        for name in sections:
            section = section[name]
        if value is DELETED:
            del section[last]
        else:
            section[last] = value


def random_net(**arguments: Any) -> ASID:
    """An ASID in eval mode with biases, affine weights and temperatures that are not those of a new network."""
    torch.manual_seed(0)
    net = ASID(**arguments).eval()
    with torch.no_grad():
        for value in net.parameters():
            value.add_(torch.randn_like(value), alpha=0.05)
    return net


def command(*words: str) -> Callable[..., int]:
    """A command of `asid` as a function of its further arguments, which returns the exit status."""
    return lambda argv=(): main([*words, *map(str, argv)])


class Payload:
    """An object whose pickle touches a file `harm` where it is loaded."""

    def __reduce__(self) -> tuple:
        return Path.touch, (Path('harm'),)


@contextmanager
def held_elsewhere(file: Path) -> Iterator[subprocess.Popen]:
    """A lock in the hands of another process, which is yielded."""
    code = 'import sys; from pathlib import Path; from asid_plugin.locks import hold; hold(Path(sys.argv[1]), "", "")'
    command = [sys.executable, '-c', f'{code}; print("held", flush=True); sys.stdin.read()', str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == 'held\n'
        try:
            yield process
        finally:
            process.kill()
