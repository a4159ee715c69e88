"""A disk that is full at every writer: nothing half-written, old files whole, one line that names the file.

The disk ends by a limit on the size of files, which comes as an error of another kind, and by a small file system where
this user may mount one.
"""

import ctypes
import os
import pickle
import random
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import torch
from tqdm import tqdm

from asid_plugin.archs import ASID
from asid_plugin.commands.main import main
from asid_plugin.files import PREFIX

from .figures import Row
from .trials import SECONDS, Outcome, attempt

_LEAST = 600
"""Bytes that files may always have under a limit: the messages go to a file, too."""
_BLOCK = 4096
"""Bytes that a small file takes on a file system."""
_CLONE_NEWNS, _MS_REC, _MS_PRIVATE = 0x20000, 0x4000, 0x40000
Files = dict[str, bytes]


@dataclass(frozen=True)
class Writer:
    """A command that writes files.

    Attributes:
        name: In a few words.
        argv: Of `asid`; IN stands for the folder of inputs, OUT for that of outputs, which is the current one.
        modules: To be imported before the trials.
        files: Those that fail one by one.
        continued: Hidden files stay after an error; the same command continues with them, and there are no old files.
        trials: In the long form, of each kind of disk.
        long: Belongs to the long form only: is slow, or much like another.
    """

    name: str
    argv: str
    modules: tuple[str, ...] = ('asid_plugin.inference',)
    files: int = 1
    continued: bool = False
    trials: int = 20
    long: bool = False


_UPSCALE = 'upscale IN/{} -o OUT/sr.{} --weights IN/tiny.pth --tile 32 --tile-overlap 8'
_EXPORT = ('asid_plugin.export',)
_EVALUATE = ('asid_plugin.evaluate.methods', 'asid_plugin.evaluate.output', 'spandrel')
_CURVE = ('asid_plugin.plots.training_curve', 'matplotlib.backends.backend_agg')
_FIGURES = ('asid_plugin.paper.scatter', 'matplotlib.backends.backend_agg')
_PREPARE = ('asid_plugin.prepare.photos', 'asid_plugin.prepare.demo')
WRITERS = (
    *(Writer(f'upscale: {end}', _UPSCALE.format('picture.png', end)) for end in ('png', 'tif')),
    *(Writer(f'upscale: {end}', _UPSCALE.format('picture.png', end), long=True) for end in ('jpg', 'webp', 'bmp')),
    *(
        Writer(f'upscale: animated {end}', _UPSCALE.format('moves.gif', end), long=True)
        for end in ('png', 'webp', 'tif')
    ),
    Writer('upscale: a folder', 'upscale IN/photos -o OUT/new --weights IN/tiny.pth --ext keep', files=4, long=True),
    *(
        Writer(f'convert: {end}', f'convert IN/tiny.pth OUT/net.{end}', long=end == 'ckpt')
        for end in ('pth', 'ckpt', 'safetensors')
    ),
    *(
        Writer(f'export: {end}', f'export IN/tiny.pth OUT/net.{end}', _EXPORT, trials=3, long=True)
        for end in ('onnx', 'pt2', 'xml')
    ),
    Writer(
        'evaluate', 'evaluate IN/set --scale 2 --network IN/tiny.pth -o OUT --html', ('asid_plugin.evaluate.output',)
    ),
    Writer('curve', 'curve IN/experiment -o OUT/curve.csv', _CURVE),
    *(Writer(f'figure: {end}', f'paper figure1 -o OUT/f.{end}', _FIGURES, long=True) for end in ('png', 'pdf', 'svg')),
    Writer('schema', 'schema OUT/schema.json', ('asid_plugin.options.schema',)),
    Writer('schema: page', 'schema --page OUT/options.md', ('asid_plugin.options.page',)),
    Writer(
        'prepare: photos',
        'prepare photos IN/photos -o OUT --scale 2 --crop-size 128 --workers 1',
        _PREPARE,
        continued=True,
    ),
    Writer(
        'prepare: LMDBs',
        'prepare div2k --hr IN/photos -o OUT --name t --scales 2 --crop-size 64 --step 32 --raw --workers 1',
        _PREPARE,
        continued=True,
    ),
    Writer('prepare: demo', 'prepare demo -o OUT', _PREPARE, continued=True, trials=5, long=True),
    Writer(
        'prepare: degraded', 'prepare degraded IN/set --scale 2 -o OUT', _PREPARE, continued=True, trials=5, long=True
    ),
)


def run(folder: Path, seed: int, long: bool) -> Iterator[Row]:
    """Run every writer on full disks."""
    torch.set_num_threads(1)
    given, out = folder / 'in', folder / 'out'
    _write_inputs(given)
    ends = [_limited, _mounted] if _may_mount(folder) else [_limited]
    for writer in WRITERS:
        if writer.long and not long:
            continue
        for module in writer.modules:
            import_module(module)
        argv = [word.replace('IN', str(given)).replace('OUT', str(out)) for word in writer.argv.split()]
        trials = _Trials(writer, out, argv, random.Random(f'{seed} {writer.name}'))
        for end in ends:
            row = Row(f'full disk, {"size of files" if end is _limited else "file system"}: {writer.name}')
            for trial in tqdm(
                range(writer.trials if long else 1), row.way, file=sys.stderr, leave=False, disable=not long
            ):
                trials.try_once(end, trial, row)
            yield row


class _Trials:
    """Trials of one writer.

    Args:
        writer: It.
        out: The folder of outputs, made anew for each trial.
        argv: Of the command.
        rng: Says where the disk ends.
    """

    def __init__(self, writer: Writer, out: Path, argv: list[str], rng: random.Random) -> None:
        self.writer, self.out, self.argv, self.rng = writer, out, argv, rng
        self.whole, outcome = self._attempt(lambda: None, {})
        assert outcome.end == 'done', outcome.text

    def try_once(self, end: Callable[[int, Path], None], trial: int, row: Row) -> None:
        """Run the command on a disk that ends somewhere within its files, every other time with old ones there."""
        old = {} if self.writer.continued or trial % 2 else dict.fromkeys(self.whole, b'old')
        lengths = [len(content) for content in self.whole.values()]
        most = max(lengths) if end is _limited else sum(lengths)
        size = self.rng.randrange(_LEAST, max(most, _LEAST + 1))
        if end is _mounted:
            size += _BLOCK * len(old)
        found, outcome = self._attempt(partial(end, size, self.out), old)
        broken = self._broken(found, old, outcome)
        if self.writer.continued and not broken:
            again, second = self._attempt(lambda: None, found)
            if second.end != 'done' or _visible(again) != _visible(self.whole):
                broken = f'the same command does not continue: {second.text[-300:]}'
        # how long a writer takes, and how much memory, is no promise
        row.add(replace(outcome, seconds=min(outcome.seconds, SECONDS), mebibytes=0), f'{size} bytes', broken)

    def _broken(self, found: Files, old: Files, outcome: Outcome) -> str:
        for name, content in found.items():
            hidden = any(part.startswith('.') for part in Path(name).parts)
            if PREFIX in name or (hidden and not self.writer.continued):
                return f'{name} is left behind'
            if not hidden and content not in (old.get(name), self.whole.get(name)):
                return f'{name} is half-written: {len(content)} bytes'
        if missing := old.keys() - found.keys():
            return f'{missing.pop()} is gone'
        if outcome.end == 'done':
            return '' if found == {**old, **self.whole} else 'it says that all is done'
        lines = [line for line in outcome.text.splitlines() if line.startswith('error: ')]
        unwritten = [name for name, content in self.whole.items() if found.get(name) != content]
        expected = len(unwritten) if self.writer.files > 1 else 1
        if len(lines) != expected or not all(str(self.out) in line for line in lines):
            return f'not one line for each file that is not written, which names it: {outcome.text[-300:]}'
        return ''

    def _attempt(self, prepare: Callable[[], None], files: Files) -> tuple[Files, Outcome]:
        """Run the command beside files that are there; returns the files that are there then."""
        subprocess.run(['rm', '-rf', self.out], check=True)
        self.out.mkdir()
        seen = self.out.parent / 'seen'
        seen.unlink(missing_ok=True)

        def command() -> int:
            prepare()
            _put(files, self.out)
            os.chdir(self.out)  # the mounted one
            try:
                return main(self.argv)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
                seen.write_bytes(pickle.dumps(_files(self.out)))

        outcome = attempt(command, self.out)
        return pickle.loads(seen.read_bytes()) if seen.exists() else {}, outcome


def _limited(size: int, _folder: Path) -> None:
    """Let files of this process end at a size; Python ignores the signal, so that writing fails."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _mounted(size: int, folder: Path) -> None:
    """Mount a file system of so many bytes, for this process alone."""
    libc = ctypes.CDLL(None, use_errno=True)
    done = [
        libc.unshare(_CLONE_NEWNS),
        libc.mount(b'none', b'/', None, _MS_REC | _MS_PRIVATE, None),
        libc.mount(b'tmpfs', os.fsencode(folder), b'tmpfs', 0, f'size={size}'.encode()),
    ]
    if any(done):
        raise OSError(ctypes.get_errno(), 'cannot be mounted')


def _may_mount(folder: Path) -> bool:
    """Whether `_mounted` works here."""
    (folder / 'mount').mkdir()
    return (
        sys.platform == 'linux' and attempt(lambda: _mounted(2**20, folder / 'mount'), folder / 'mount').end == 'done'
    )


def _put(files: Files, folder: Path) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def _files(folder: Path) -> Files:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def _visible(files: Files) -> Files:
    """Those that are not hidden; of an LMDB, which is verified, the pages may be in another order."""
    shown = {name: content for name, content in files.items() if not any(part[0] == '.' for part in Path(name).parts)}
    return {name: b'' if name.endswith('.mdb') else content for name, content in shown.items()}


def _write_inputs(folder: Path) -> None:
    """Write a tiny network, a picture, an animation, photographs, a benchmark set and the log of a training."""
    rng = np.random.default_rng(0)
    for name in ('photos', 'set/GTmod2', 'set/LRbicx2', 'experiment'):
        (folder / name).mkdir(parents=True)
    torch.manual_seed(0)
    torch.save({'params': ASID(num_feat=16, num_block=1, upscale=2).state_dict()}, folder / 'tiny.pth')

    def picture(path: str, height: int, width: int) -> None:
        cv2.imwrite(str(folder / path), rng.integers(0, 256, (height, width, 3), dtype=np.uint8))

    picture('picture.png', 40, 60)
    for number in range(4):
        picture(f'photos/{number}.png', 130, 130)
    for number in range(2):
        picture(f'set/GTmod2/{number}.png', 48, 64)
        picture(f'set/LRbicx2/{number}.png', 24, 32)
    frames = [PIL.Image.fromarray(rng.integers(0, 256, (32, 40, 3), dtype=np.uint8)) for _ in range(3)]
    frames[0].save(folder / 'moves.gif', save_all=True, append_images=frames[1:])
    lines = (f'[epoch: 1, iter: {i:6,}, lr:(1.000e-03,)] l_pix: {1 / i:.4e}' for i in range(100, 10_000, 100))
    (folder / 'experiment' / 'train_x.log').write_text('\n'.join(lines))
