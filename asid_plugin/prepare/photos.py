"""Make training data from folders of photographs: raw LMDBs, and held-out pairs.

    asid prepare photos ~/Pictures/best

Outputs::

    datasets/photos/photos_HR_sub_raw.lmdb                 sub-images of the training photographs
    datasets/photos/photos_LR_bicubic_X2_sub_raw.lmdb      the same at half the size, and so on
    datasets/photos/photos_checksums.jsonl                 for verification by a second run; see `raw_lmdbs`
    datasets/photos/photos_prepare.json                    (the settings; a run with others is refused)
    datasets/photos/held_out/GTmod2/, LRbicx2/             one of twenty photographs, whole, and at half the size

The same photographs are held out each time: two at least and ten at most, evenly spread over the files sorted by name
(numbers 10, 30 to 190 of 203, counted from zero). Photographs are identified by the content of their files, so their
folder may move.
"""

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from asid_plugin import plain_yaml
from asid_plugin.evaluate.protocol import downscale
from asid_plugin.prepare.demo import update_png
from asid_plugin.prepare.raw_lmdbs import RawJob, Record, make_raw_lmdbs
from asid_plugin.prepare.sub_images import (
    Photo,
    PrepareError,
    alone_in,
    check_cutting,
    check_headers,
    check_settings,
    list_images,
    parallel,
    print_left_out,
    read_bgr,
    read_size,
)
from asid_plugin.printable import printable

HELD_OUT = 20, 2, 10
"""One of so many photographs is for validation; the least and greatest number of them."""
NAME = 'photos'
OPTIONS = 'options/photos'
"""Folder of the option files for training on the result."""
TRAINED = (2, 3, 4)
"""Scales with option files."""


def held_out(photos: Sequence[Path]) -> list[Path]:
    """The photographs for validation: one of twenty, evenly spread, but two to ten; of two or three, one."""
    share, least, most = HELD_OUT
    number = min(max(len(photos) // share, least), most, len(photos) // 2)
    every = len(photos) // number
    return list(photos[every // 2 :: every][:number])


def write_pairs(photos: Sequence[Path], out: Path, scale: int) -> None:
    """Write `GTmodK` and `LRbicxK`, with images cropped to a multiple of the scale K.

    Raises:
        PrepareError: A photograph is too small, or there are pairs of photographs that are no longer held out.
    """
    wanted = {f'{photo.stem}.png' for photo in photos}
    for kind in (f'GTmod{scale}', f'LRbicx{scale}'):
        if strange := sorted(path.name for path in (out / kind).glob('*.png') if path.name not in wanted):
            raise PrepareError(f'{out / kind} has images that are not held out: {", ".join(strange[:3])}. Remove {out}')
    for photo in photos:
        gt, _ = read_bgr(photo)
        if min(gt.shape[:2]) < 2 * scale:  # imresize cannot mirror the border of one LR pixel
            raise PrepareError(f'{photo}: {gt.shape[1]}x{gt.shape[0]} pixels; each side needs at least {2 * scale}')
        gt = gt[: gt.shape[0] // scale * scale, : gt.shape[1] // scale * scale]
        update_png(out / f'GTmod{scale}' / f'{photo.stem}.png', gt)
        update_png(out / f'LRbicx{scale}' / f'{photo.stem}.png', downscale(gt, scale))


def is_smaller(path: Path, side: int, scales: Sequence[int]) -> bool:
    """Whether the width or height of an image, cropped to a multiple of every scale, is below `side` pixels."""
    multiple = math.lcm(*scales)
    return side > 0 and min(read_size(path)) // multiple * multiple < side


def find_photographs(folders: Sequence[Path]) -> dict[str, Path]:
    """The photographs of some folders by name, folder by folder.

    Raises:
        PrepareError: A folder is missing, two photographs have the same name, or there are fewer than two.
    """
    photos: dict[str, Path] = {}
    for folder in folders:
        images = list_images(folder)
        print_left_out(folder)
        for stem, path in sorted(images.items()):
            if stem in photos:
                raise PrepareError(f'{path} and {photos[stem]} have the same name; rename one')
            photos[stem] = path
    if len(photos) < 2:
        number = 'one photograph' if photos else 'no photographs'
        raise PrepareError(
            f'{", ".join(map(str, folders))}: {number}; at least 2 are needed, one of them for validation'
        )
    return photos


def prepare_photos(
    folders: Sequence[Path], out: Path, scales: Sequence[int], crop_size: int, workers: int, least_side: int = 0
) -> None:
    """Run the command with these options. A second call verifies the result.

    Raises:
        PrepareError: `out` was made from other photographs, or see `find_photographs`, `write_pairs` and
            `make_raw_lmdbs`.
        LockedError: Another preparation writes to `out`.
    """
    scales = sorted(set(scales))
    check_cutting(scales, crop_size, crop_size // 2)
    photos = find_photographs(folders)
    check_headers({key: {1: path} for key, path in photos.items()})
    kept_back = held_out(list(photos.values()))
    small = [path for path in photos.values() if path not in kept_back and is_smaller(path, least_side, scales)]
    if small:
        print(f'{len(small)} photographs are skipped: less than {least_side} pixels wide or high')
    to_train: dict[str, Photo] = {
        key: {1: path} for key, path in sorted(photos.items()) if path not in (*kept_back, *small)
    }
    if not to_train:
        raise PrepareError(f'--least-side {least_side}: all photographs are smaller, so none is left for training')
    job = RawJob(out, NAME, dict.fromkeys(scales), crop_size, crop_size // 2)
    with alone_in(out), parallel(workers) as each:
        check_settings(job)
        for scale in scales:
            write_pairs(kept_back, out / 'held_out', scale)
        print(f'{len(to_train)} photographs for training, {len(kept_back)} held out')
        if len(kept_back) == 1:
            print('note: validation is on one photograph: its PSNR says little')
        records = make_raw_lmdbs(job, to_train, each)
    print('To train, run:', *(f'  {printable(line)}' for line in training_commands(job, scales, records)), sep='\n')
    if not Path(OPTIONS).is_dir():
        print(f'in a checkout of asid_plugin, which has {OPTIONS}; the package does not include it')


def training_commands(job: RawJob, scales: Sequence[int], records: Sequence[Record]) -> Iterator[str]:
    """The commands for training on the result, each with its purpose."""
    if 2 in scales:
        yield training_command(job, 'finetune_ASID_x2.yml', 2, records) + '  # starts from the packaged weights'
    for scale in scales:
        if scale in TRAINED:
            start = 'scratch' if scale == 2 else 'the body of x2'
            yield training_command(job, f'train_ASID_photos_x{scale}.yml', scale, records) + f'  # starts from {start}'
        else:
            yield f'# {OPTIONS} has no file for x{scale}: copy another, and change the scale in it'


def training_command(job: RawJob, name: str, scale: int, records: Sequence[Record]) -> str:
    """The command that trains with an option file, and changes options that differ."""
    file = Path(OPTIONS, name)
    options = plain_yaml.read(file) if file.is_file() else {}
    out = job.out if options else job.out.absolute()  # absolute, because the command may run in another folder
    least = min(min(record.height, record.width, job.crop_size) for record in records)
    wanted = {
        'datasets:train:dataroot_gt': str(out / job.lmdb(1).name),
        'datasets:train:dataroot_lq': str(out / job.lmdb(scale).name),
        'datasets:val:dataroot_gt': str(out / 'held_out' / f'GTmod{scale}'),
        'datasets:val:dataroot_lq': str(out / 'held_out' / f'LRbicx{scale}'),
    }
    if least < (_option(options, 'datasets:train:gt_size') or 32 * scale):
        wanted['datasets:train:gt_size'] = str(least // scale * scale)
    start = _option(options, 'path:pretrain_network_g')
    if start and not Path(start).is_file():  # the weights of another training, if they exist
        wanted['path:pretrain_network_g'] = 'packaged:x2'
    forced = [f'{key}={value}' for key, value in wanted.items() if str(_option(options, key)) != value]
    return shlex.join(['asid', 'train', file.as_posix(), *(['--force_yml', *forced] if forced else [])])


def _option(options: Mapping[str, Any], key: str) -> Any:
    value: Any = options
    for part in key.split(':'):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
