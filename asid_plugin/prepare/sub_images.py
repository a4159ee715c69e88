"""Make sub-images and LMDBs for BasicSR from DIV2K or any folder of photographs.

    asid prepare div2k
    asid prepare div2k --hr my/photographs -o datasets/mine --name mine --scales 2

An HR image is cropped at the bottom and right to a multiple of every scale and cut into 480x480 sub-images that start
every 240 pixels, the last row and column flush with the border, as in BasicSR's `extract_subimages.py`. LR images are
from DIV2K or, if missing, made by BasicSR's MATLAB-like `imresize` and rounded to 8 bits like MATLAB; they are cut at
the same places. Outputs for `-o datasets/DIV2K --name DIV2K_train`::

    datasets/DIV2K/DIV2K_train_HR_sub/0001_s001.png             datasets/DIV2K/DIV2K_train_HR_sub.lmdb
    datasets/DIV2K/DIV2K_train_LR_bicubic/X2_sub/0001_s001.png  datasets/DIV2K/DIV2K_train_LR_bicubic_X2_sub.lmdb
    datasets/DIV2K/DIV2K_train_prepare.json                     (the settings; a run with others is refused)

With `--raw`, each LMDB gets another one beside it with pixels instead of PNG files (`…_sub_raw.lmdb`), from which the
dataset `RawPairedImageDataset` reads only the patch.

Files and LMDBs appear complete or not at all. The same command continues an interrupted run, with the same bytes, and
verifies a finished one: it cuts photographs that lack a sub-image or are newer than one, and compares the LMDBs with
the sub-images. BasicSR needs only the LMDBs, so the `_sub` folders may be removed at the end.
"""

import json
import math
import multiprocessing
import os
import re
import shutil
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

# asid_plugin comes first, because it lets BasicSR be imported
from asid_plugin.compat.patching import replaced
from asid_plugin.errors import ASIDError
from asid_plugin.evaluate.protocol import downscale
from asid_plugin.files import naming, remove_unfinished, staging, whole_file
from asid_plugin.images import READABLE, UNREADABLE, ImageError, read_header, read_image
from asid_plugin.images.alpha import fill_hidden
from asid_plugin.images.left_out import LeftOut
from asid_plugin.locks import lock_inside, locked
from asid_plugin.pairs.lmdbs import compute_checksums
from asid_plugin.pairs.meta_info import CHECKSUMS, LMDBError, read_checksums, write_checksums
from asid_plugin.printable import printable

# isort: split
import cv2
import lmdb
import numpy as np
import torch
from basicsr.utils import imfrombytes
from basicsr.utils.lmdb_util import LmdbMaker
from numpy.typing import NDArray
from tqdm import tqdm

PNG_LEVEL = 1  # BasicSR's choice for LMDBs; the files hold the same bytes

Photo = dict[int, Path]
"""The files of a photograph by scale; 1 is HR and always present, and scales with LR to be made are absent."""

Pixels = NDArray[np.uint8]
"""(height, width, 3) BGR."""

Task = TypeVar('Task')
Result = TypeVar('Result')


class Each(Protocol):
    """`run_all` with its executor: maps a function over tasks, with a progress bar."""

    def __call__(
        self, function: Callable[[Task], Result], tasks: Sequence[Task], description: str, large: bool = False
    ) -> Iterable[Result]:
        """The results, in the order of the tasks; only a few `large` results are held in memory."""


class PrepareError(ASIDError):
    """Data that cannot be prepared; the message names the file or argument, the fault and the remedy."""


@dataclass(frozen=True)
class Job:
    """The outputs, the LR folder of each scale (None: LR is to be made), and the cutting in HR pixels."""

    out: Path
    name: str
    lr: dict[int, Path | None]
    crop_size: int
    step: int

    @property
    def multiple(self) -> int:
        """The divisor of the sides of a cropped HR image."""
        return math.lcm(*self.lr)

    @property
    def files(self) -> str:
        """The names of the outputs, for messages."""
        return f'{self.out / self.name}_*'

    @property
    def settings(self) -> dict[str, object]:
        """Settings that determine the outputs; outputs with other settings are refused."""
        lr = {f'X{scale}': 'files' if folder else 'imresize' for scale, folder in self.lr.items()}
        return {'crop_size': self.crop_size, 'step': self.step, **lr}

    @property
    def outputs(self) -> dict[int, tuple[Path, Path | None]]:
        """The folder of sub-images and the LMDB (or None) of each scale; 1 is HR."""
        names = {1: ('HR', 'HR')} | {scale: (f'LR_bicubic/X{scale}', f'LR_bicubic_X{scale}') for scale in self.lr}
        begin = self.out / self.name
        return {scale: (Path(f'{begin}_{a}_sub'), Path(f'{begin}_{b}_sub.lmdb')) for scale, (a, b) in names.items()}

    def lr_sizes(self, scale: int, height: int, width: int) -> list[tuple[int, int]]:
        """Valid sizes of an LR file for an HR image of this size; an LR file with the HR size is downscaled."""
        return [(height // scale, width // scale)]

    def tiles(self, key: str, height: int, width: int) -> dict[str, tuple[int, int, int, int]]:
        """The sub-images of an HR image by BasicSR's names, row by row; each with top, height, left and width."""
        places = [(*row, *column) for row in self.spans(height) for column in self.spans(width)]
        return {f'{key}_s{index:03d}': place for index, place in enumerate(places, start=1)}

    def spans(self, side: int) -> list[tuple[int, int]]:
        """Cut a side into (start, size), the last flush with the border; a side shorter than a crop is not cut."""
        side -= side % self.multiple
        if side <= self.crop_size:
            return [(0, side)]
        last = side - self.crop_size
        return [(start, self.crop_size) for start in [*range(0, last, self.step), last]]


def find_lr(hr: Path, lr: Path | None, scales: Sequence[int]) -> dict[int, Path | None]:
    """Find the LR folder of each scale in `lr` or, by default, beside `hr` as in DIV2K; None if it is missing."""
    parent = lr or hr.parent / (hr.name.removesuffix('_HR') + '_LR_bicubic')
    found = {scale: folder if (folder := parent / f'X{scale}').is_dir() else None for scale in scales}
    if lr and None in found.values():  # a misspelt folder must not be treated as an absent one
        absent = ', '.join(f'X{scale}' for scale, folder in found.items() if folder is None)
        raise PrepareError(f'--lr {lr} has no {absent}: omit --lr to make LR images from HR')
    return found


def list_images(folder: Path) -> dict[str, Path]:
    """The images of a folder (not its subfolders) by name; BasicSR's LMDB keys are ASCII without dots and spaces."""
    if not folder.is_dir():
        raise PrepareError(f'{folder}: {"a file, not a folder" if folder.exists() else "no such folder"}')
    images: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if _is_image(path):
            key = re.sub(r'[^A-Za-z0-9_-]', '_', path.stem)
            if key in images:
                raise PrepareError(f'{images[key]} and {path.name} would have the same name {key}: rename one')
            images[key] = path
    return images


def print_left_out(folder: Path) -> None:
    """Print the kinds of files of a folder that are not images, if any."""
    left = LeftOut()
    for path in folder.iterdir():
        if path.is_dir():
            left.folders['folder'] += 1
        else:
            left.takes(path)
    if counts := str(left):
        print(printable(f'{folder}: skipped {counts}'))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in READABLE and not path.name.startswith('.') and not path.is_dir()


def find_photos(hr: Path, lr: dict[int, Path | None]) -> dict[str, Photo]:
    """Pair every HR image with its LR images: `0001.png` with `0001x2.png`, or with `0001.png`."""
    photos: dict[str, Photo] = {key: {1: path} for key, path in sorted(list_images(hr).items())}
    if not photos:
        raise PrepareError(f'{hr} has no images ({", ".join(READABLE)})')
    print_left_out(hr)
    missing = []
    for scale, folder in lr.items():
        images = list_images(folder) if folder else {}
        if folder:
            print_left_out(folder)
        for key, photo in photos.items():
            if found := images.get(f'{key}x{scale}', images.get(key)):
                photo[scale] = found
            elif folder:
                missing.append(f'{photo[1]} has no {photo[1].stem}x{scale}{photo[1].suffix} in {folder}')
    if missing:
        raise PrepareError('LR images are missing:', *missing)
    return photos


def check_headers(photos: Mapping[str, Photo]) -> None:
    """Refuse images with unreadable headers, before hours are spent on the others.

    Raises:
        PrepareError: There are such images; the message lists them.
    """
    problems = []
    for photo in tqdm(photos.values(), desc='Looking through', leave=False, delay=2):
        for path in photo.values():
            try:
                read_header(path)
            except ImageError as error:
                problems.append(str(error))
    if problems:
        raise PrepareError(f'{len(problems)} of {len(photos)} images cannot be used:', *problems)


def check_settings(job: Job) -> None:
    """Write the settings first; refuse outputs with other or unknown settings."""
    path = job.out / f'{job.name}_prepare.json'
    settings = json.dumps(job.settings)
    found = path.read_text().strip() if path.exists() else f'unknown settings (no {path})'
    if not path.exists() and not any(file.exists() for output in job.outputs.values() for file in output if file):
        with whole_file(path) as unfinished:
            unfinished.write_text(settings + '\n')
    elif found != settings:
        anew = 'remove them, or give another --out'
        raise PrepareError(f'{job.files} were made with {found}, not with {settings}: {anew}')


def read_bgr(path: Path) -> tuple[Pixels, list[str]]:
    """Read an image as (height, width, 3) uint8 BGR, 16-bit v as round(v / 257), with a list of the changes."""
    image = read_image(path)
    remarks = ['grey repeated in three channels'] * image.grey + ['alpha dropped'] * image.has_alpha
    remarks += ['16 bits rounded to 8'] * (image.bits == 16)
    return np.ascontiguousarray(fill_hidden(image).rgb8[..., ::-1]), remarks


def encode_png(image: Pixels) -> bytes:
    """Encode (height, width, 3) uint8 BGR for the LMDBs."""
    return cv2.imencode('.png', image, [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL])[1].tobytes()


def read_photo(job: Job, photo: Photo) -> tuple[dict[int, Pixels], list[str]]:
    """Read a photograph, and read or make its LR images by scale, with a list of the changes."""
    hr, remarks = read_bgr(photo[1])
    full = hr.shape[:2]
    height, width = (side - side % job.multiple for side in full)
    # imresize cannot mirror the border of one LR pixel
    made = [scale for scale in job.lr if scale not in photo or full in job.lr_sizes(scale, *full)]
    least = max([job.multiple, *(2 * scale for scale in made)])
    if min(height, width) < least:
        raise PrepareError(f'{photo[1]}: {full[1]}x{full[0]} pixels; at least {least}x{least} are needed')
    if min(height, width) < job.crop_size:
        remarks.append(f'smaller than {job.crop_size} pixels, not cut')
    images = {1: hr[:height, :width]}
    for scale in job.lr:
        if scale not in photo:
            images[scale] = downscale(images[1], scale)
            continue
        lr, _ = read_bgr(photo[scale])
        fitting = job.lr_sizes(scale, *full)
        if lr.shape[:2] not in fitting:
            raise PrepareError(
                f'{photo[scale]} is {lr.shape[1]}x{lr.shape[0]}, but {photo[1]} is {full[1]}x{full[0]}: '
                f'LR must be {fitting[0][1]}x{fitting[0][0]} for x{scale}'
            )
        if lr.shape[:2] == full:
            lr = downscale(lr[:height, :width], scale)
        images[scale] = lr[: height // scale, : width // scale]
    return images, remarks


def finished_tiles(job: Job, key: str, photo: Photo) -> list[str]:
    """The names of the sub-images of a photograph if all exist and none is older than its files, else none."""
    try:
        tiles = list(job.tiles(key, *read_size(photo[1])))
        changed = max(file.stat().st_mtime_ns for file in photo.values())
        written = min((folder / f'{t}.png').stat().st_mtime_ns for folder, _ in job.outputs.values() for t in tiles)
    except (ImageError, OSError):  # a sub-image is missing, or the photograph is unreadable, which is reported later
        return []
    return tiles if written >= changed else []


def cut_photo(job: Job, keyed: tuple[str, Photo]) -> tuple[list[str], list[str]]:
    """Write the sub-images of a photograph unless they exist (in a worker).

    Returns:
        The names of its sub-images and the changes in words, or no names and the problem.
    """
    if finished := finished_tiles(job, *keyed):
        return finished, ['already done']
    try:
        images, remarks = read_photo(job, keyed[1])
    except (ImageError, PrepareError) as error:
        return [], [str(error)]
    tiles = job.tiles(keyed[0], *images[1].shape[:2])
    for scale, (folder, _) in job.outputs.items():
        with naming(folder), staging(folder) as staged:
            for tile, place in tiles.items():
                top, height, left, width = (length // scale for length in place)
                content = encode_png(images[scale][top : top + height, left : left + width])
                (staged / f'{tile}.png').write_bytes(content)
    return list(tiles), remarks


def cut_photos(job: Job, photos: dict[str, Photo], each: Each) -> list[str]:
    """Write the sub-images of all photographs and return their names; unusable photographs are reported at the end."""
    tiles: list[str] = []
    problems: list[str] = []
    done = Counter[str]()
    for names, remarks in each(partial(cut_photo, job), list(photos.items()), 'Cutting'):
        tiles += names
        if names:
            done.update(remarks)
        else:
            problems += remarks
    for remark, count in sorted(done.items()):
        print(f'  {count} image{"s" * (count > 1)}: {printable(remark)}')
    if problems:
        raise PrepareError(f'{len(problems)} of {len(photos)} images cannot be used:', *problems)
    return tiles


def read_size(file: Path) -> tuple[int, int]:
    """(height, width) of an image, from its header.

    Raises:
        ImageError: The file is not an image.
    """
    header = read_header(file)
    return header.height, header.width


def decode(file: Path, flag: str) -> Pixels:
    """The pixels of a sub-image, read by BasicSR's `imfrombytes` with its `flag`.

    Raises:
        PrepareError: The file is damaged.
    """
    pixels = imfrombytes(file.read_bytes(), flag)
    if pixels is None:
        raise PrepareError(f'{file}: {UNREADABLE}')
    return pixels


def encoded(file: Path, raw: bool) -> bytes:
    """The value of a sub-image in an LMDB: the bytes of its file, or its pixels."""
    return decode(file, 'color').tobytes() if raw else file.read_bytes()


open_alone = partial(lmdb.open, lock=False)
"""Options to open an LMDB that no other process uses, without a table of readers, because writing this table to a full
disk causes a SIGBUS."""


def fill_lmdb(path: Path, files: Sequence[Path], raw: bool) -> None:
    """Write an LMDB with its `meta_info.txt` from sub-images: the bytes of their files, or their pixels."""
    shapes = [(*read_size(file), 3) for file in files]
    # BasicSR's default map of 1 TiB exceeds limits on the memory of a process. A value fills whole pages, which have up
    # to 64 KiB on some systems; the file grows only as needed.
    lengths = (math.prod(shape) if raw else file.stat().st_size for file, shape in zip(files, shapes, strict=True))
    size = 2**26 + sum(length + 2 * 65536 for length in lengths)
    batch, level = (500, 'raw') if raw else (5000, PNG_LEVEL)
    with replaced(lmdb, 'open', open_alone):
        maker = LmdbMaker(str(path), map_size=size, batch=batch, compress_level=level)
    try:
        for file, shape in zip(tqdm(files, desc=f'Writing {path.name[1:]}'), shapes, strict=True):
            maker.put(encoded(file, raw), file.stem, shape)
    finally:
        maker.close()


def compare(path: Path, folder: Path, raw: bool, line: str) -> str:
    """Compare an LMDB with the sub-image in a line of its `meta_info.txt` (in a worker); returns the problem."""
    tile = line.partition('.')[0]
    with lmdb.open(str(path), readonly=True, lock=False) as env, env.begin() as txn:
        value = txn.get(tile.encode())
    image = decode(folder / f'{tile}.png', 'unchanged')
    found = value if raw or not value else imfrombytes(value, 'unchanged').tobytes()
    if found != image.tobytes():
        return f'{tile} is missing or has other pixels'
    right = f'{tile}.png ({image.shape[0]},{image.shape[1]},3) {"raw" if raw else PNG_LEVEL}'
    return '' if line == right else f'meta_info.txt has {line} instead of {right}'


def verify_lmdb(path: Path, folder: Path, tiles: Sequence[str], each: Each, raw: bool) -> list[str]:
    """List the differences of an LMDB from the sub-images: in its `meta_info.txt`, in number, in pixels."""
    meta_info = path / 'meta_info.txt'
    lines = meta_info.read_text().splitlines() if meta_info.is_file() else []
    if [line.partition('.')[0] for line in lines] != tiles:
        return [f'the {len(lines)} lines of meta_info.txt are not the {len(tiles)} sub-images']
    with lmdb.open(str(path), readonly=True, lock=False) as env:
        stat, last_page = env.stat(), env.info()['last_pgno']
    if (path / 'data.mdb').stat().st_size < (last_page + 1) * stat['psize']:
        return ['data.mdb is cut short']  # further reading would kill the process by a bus error
    if stat['entries'] != len(tiles):
        return [f'{stat["entries"]} images instead of {len(tiles)}']
    found = each(partial(compare, path, folder, raw), lines, f'Verifying {path.name.lstrip(".")}')
    return [problem for problem in found if problem]


def verify_checksums(path: Path, tiles: Sequence[str]) -> list[str]:
    """List the differences of the checksums of an LMDB from its pixels; missing checksums (before 0.2) are added."""
    found = compute_checksums(path, tqdm(tiles, desc=f'Adding up {path.name.lstrip(".")}', leave=False, delay=2))
    if not (path / CHECKSUMS).exists():
        write_checksums(path, found)
        return []
    try:
        known = read_checksums(path, tiles)
    except LMDBError as error:
        return [str(error)]
    return [] if known == found else [f'{CHECKSUMS} has other checksums']


def make_lmdb(path: Path, folder: Path, tiles: Sequence[str], each: Each, raw: bool = False) -> None:
    """Make an LMDB from the sub-images, under a temporary name until it is verified, or verify the existing one."""
    if strange := sorted({file.stem for file in folder.glob('*.png')} - set(tiles)):
        some = ', '.join(strange[:5])
        raise PrepareError(f'{folder} has {len(strange)} sub-images of no photograph ({some}): remove them')
    present, unfinished = path.exists(), path.with_name(f'.{path.name}')
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        if not present:
            fill_lmdb(unfinished, [folder / f'{tile}.png' for tile in tiles], raw)
        found = path if present else unfinished
        problems = verify_lmdb(found, folder, tiles, each, raw)
        if raw and not problems:
            problems = verify_checksums(found, tiles)
        if problems:
            raise PrepareError(f'{path} does not match {folder}: {"; ".join(problems[:5])}. Remove it and run again')
        if not present:
            unfinished.rename(path)
    except lmdb.Error as error:
        raise PrepareError(f'{path}: {error}') from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    print(printable(f'{path}: {"already done, " * present}{len(tiles)} images, verified'))


def start_worker() -> None:
    """Set up a worker: one thread, and an end with the parent in any case (SIGKILL leaves the parent no time)."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if parent := multiprocessing.parent_process():
        threading.Thread(target=_end_after, args=(parent.join,), daemon=True).start()


def _end_after(wait: Callable[[], None]) -> None:
    wait()
    os._exit(1)


def run_all(
    executor: Executor | None,
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    description: str,
    ahead: int = 0,
) -> Iterable[Result]:
    """Map a function over tasks, in this process if there is no executor, with a progress bar.

    Args:
        executor: Runs the tasks.
        function: Function of one task.
        tasks: Any number.
        description: For the progress bar.
        ahead: Most tasks that start before earlier results are consumed; 0 for all.
    """
    results: Iterable[Result]
    if executor is None:
        results = map(function, tasks)
    elif ahead:
        results = _map_few(executor, function, tasks, ahead)
    else:
        with _interrupts_ignored():  # photographs one by one, sub-images by the dozen
            results = executor.map(function, tasks, chunksize=1 + len(tasks) // 1000)
    return tqdm(results, total=len(tasks), desc=description)


def _map_few(
    executor: Executor, function: Callable[[Task], Result], tasks: Iterable[Task], ahead: int
) -> Iterator[Result]:
    waiting: deque[Future[Result]] = deque()
    for task in tasks:
        with _interrupts_ignored():
            waiting.append(executor.submit(function, task))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Ignore Ctrl-C while processes start; they inherit this, and their parent ends them."""
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def alone_in(out: Path) -> AbstractContextManager[None]:
    """Context that excludes other preparations in a folder.

    Raises:
        LockedError: Another preparation writes there.
    """
    return locked(lock_inside(out), out, 'wait until it ends, or give another folder as -o')


def check_cutting(scales: Sequence[int], crop_size: int, step: int) -> None:
    """Refuse scales below 2, and sub-images without whole LR pixels."""
    if min(scales, default=0) < 2:
        raise PrepareError(f'--scales {" ".join(map(str, scales))}: a scale must be at least 2')
    for option, value in (('--crop-size', crop_size), ('--step', step)):
        if value < 1 or value % math.lcm(*scales):
            raise PrepareError(f'{option} {value}: for these scales it must be a multiple of {math.lcm(*scales)}')


@contextmanager
def parallel(workers: int) -> Iterator[Each]:
    """Yield `run_all` with `workers` processes; with fewer than 2, all in this process."""
    # multiprocessing.Pool would wait for ever for a worker that the system killed out of memory
    executor = ProcessPoolExecutor(workers, multiprocessing.get_context('spawn'), start_worker) if workers > 1 else None

    def each(
        function: Callable[[Task], Result], tasks: Sequence[Task], description: str, large: bool = False
    ) -> Iterable[Result]:
        return run_all(executor, function, tasks, description, 2 * workers if large else 0)

    try:
        yield each
    finally:
        if executor:
            executor.shutdown(cancel_futures=True)


def write_outputs(job: Job, photos: dict[str, Photo], each: Each, raw: bool = False) -> dict[int, Path]:
    """Write the sub-images of all photographs and their LMDBs, optionally raw ones too; returns the LMDBs by scale."""
    for folder, _ in job.outputs.values():
        remove_unfinished(folder)
    tiles = cut_photos(job, photos, each)
    lmdbs = {scale: path for scale, (_, path) in job.outputs.items() if path}
    for scale, path in lmdbs.items():
        make_lmdb(path, job.outputs[scale][0], tiles, each)
        if raw:
            make_lmdb(path.with_name(f'{path.stem}_raw.lmdb'), job.outputs[scale][0], tiles, each, raw=True)
    return lmdbs


def prepare(
    hr: str | Path,
    out: str | Path,
    name: str,
    lr: str | Path | None = None,
    scales: Sequence[int] = (2, 3, 4),
    crop_size: int = 480,
    step: int = 240,
    raw: bool = False,
    workers: int = 1,
) -> dict[int, Path]:
    """Run the command with these options; with fewer than 2 workers, all in this process.

    Returns:
        The LMDBs by scale; 1 is HR.

    Raises:
        PrepareError: An argument, an image or an existing output is unsuitable.
        ImageError: An existing sub-image is damaged.
        LockedError: Another preparation writes to `out`.
    """
    check_cutting(scales, crop_size, step)
    job = Job(Path(out), name, find_lr(Path(hr), Path(lr) if lr else None, sorted(set(scales))), crop_size, step)
    photos = find_photos(Path(hr), job.lr)
    check_headers(photos)
    with alone_in(job.out):
        check_settings(job)
        cropped = f'cropped at the bottom and right to multiples of {job.multiple} pixels'
        print(f'HR: {len(photos)} from {printable(hr)}, {cropped}')
        for scale, folder in job.lr.items():
            print(f'  X{scale}: {printable(folder or "made by imresize")}')
        with parallel(workers) as each:
            return write_outputs(job, photos, each, raw)
