"""Data to train on from a folder, or several, of photographs of one's own: raw LMDBs, and pairs that are held out.

    asid prepare photos ~/Pictures/best
    asid prepare photos T91 BSDS400     # what the weights of this package were trained on

What is written::

    datasets/photos/HR/                                    links to the photographs to train on; from them:
    datasets/photos/photos_HR_sub_raw.lmdb                 their sub-images
    datasets/photos/photos_LR_bicubic_X2_sub_raw.lmdb      the same at half the size, and so on
    datasets/photos/held_out/GTmod2/, LRbicx2/             every 48th photograph, whole, and at half the size

Held out are the same photographs each time: the folders' files in order of their names, numbers 24, 72, 120 and so on.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from asid_plugin.evaluate.protocol import downscale
from asid_plugin.prepare.demo import update_png
from asid_plugin.prepare.sub_images import PrepareError, list_images, prepare, read_bgr

EVERY = 48


def held_out(photos: Sequence[Path]) -> list[Path]:
    """The photographs to validate on; of few photographs the last one."""
    return list(photos[EVERY // 2 :: EVERY]) or list(photos[-1:])


def write_pairs(photos: Sequence[Path], out: Path, scale: int) -> None:
    """Write `GTmodK` and `LRbicxK`, whose images are cropped to a multiple of the scale K.

    Raises:
        PrepareError: A photograph is too small, or there are pairs of photographs that are not held out any more.
    """
    wanted = {f'{photo.stem}.png' for photo in photos}
    for kind in (f'GTmod{scale}', f'LRbicx{scale}'):
        if strange := sorted(path.name for path in (out / kind).glob('*.png') if path.name not in wanted):
            raise PrepareError(f'{out / kind} has images that are not held out: {", ".join(strange[:3])}. Remove {out}')
    for photo in photos:
        gt, _ = read_bgr(photo)
        if min(gt.shape[:2]) < 2 * scale:  # of one LR pixel, imresize cannot mirror the border
            raise PrepareError(f'{photo}: {gt.shape[1]}x{gt.shape[0]} pixels, at least {2 * scale} a side are needed')
        gt = gt[: gt.shape[0] // scale * scale, : gt.shape[1] // scale * scale]
        update_png(out / f'GTmod{scale}' / f'{photo.stem}.png', gt)
        update_png(out / f'LRbicx{scale}' / f'{photo.stem}.png', downscale(gt, scale))


def is_smaller(path: Path, side: int, scales: Sequence[int]) -> bool:
    """Whether an image's width or height, cropped to a multiple of every scale, is below this many pixels."""
    multiple = math.lcm(*scales)
    return side > 0 and min(read_bgr(path)[0].shape[:2]) // multiple * multiple < side


def prepare_photos(
    folders: Sequence[Path], out: Path, scales: Sequence[int], crop_size: int, workers: int, least_side: int = 0
) -> None:
    """Do what the command does, whose options the arguments are. A second call verifies it.

    Raises:
        PrepareError: Two photographs have the same name, there are fewer than two, `out` was made of others, or see
            `write_pairs` and `sub_images.prepare`.
    """
    photos: dict[str, Path] = {}
    for folder in folders:
        for stem, path in sorted(list_images(folder).items()):
            if stem in photos:
                raise PrepareError(f'{path} and {photos[stem]} have the same name; rename one')
            photos[stem] = path.absolute()
    if len(photos) < 2:
        raise PrepareError(f'{", ".join(map(str, folders))}: {len(photos)} photographs; at least 2 are needed')
    kept_back = held_out(list(photos.values()))
    small = [path for path in photos.values() if path not in kept_back and is_smaller(path, least_side, scales)]
    if small:
        print(f'{len(small)} photographs are left out: less than {least_side} pixels wide or high')
    hr = out / 'HR'
    hr.mkdir(parents=True, exist_ok=True)
    to_train = [path for path in photos.values() if path not in (*kept_back, *small)]
    for path in to_train:
        link = hr / path.name
        if not link.is_symlink():
            link.symlink_to(path)
        elif link.readlink() != path:
            raise PrepareError(f'{link} is {link.readlink()}, and not {path}. Remove the folder {out}')
    wanted = {path.name for path in to_train}
    if strange := sorted(link.name for link in hr.iterdir() if link.name not in wanted):
        raise PrepareError(f'{hr} has images of another set: {", ".join(strange[:3])}. Remove the folder {out}')
    for scale in scales:
        write_pairs(kept_back, out / 'held_out', scale)
    print(f'{len(wanted)} photographs to train on, {len(kept_back)} held out')
    prepare(hr, out, 'photos', scales=scales, crop_size=crop_size, step=crop_size // 2, raw=True, workers=workers)
