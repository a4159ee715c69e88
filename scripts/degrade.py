"""Sets in which the LR images are what photographs often are, JPEG-compressed or noisy, to evaluate networks on.

    python scripts/degrade.py datasets/photos/held_out --scale 2 --out datasets/degraded
    python -m asid_plugin.evaluate datasets/degraded --scale 2 --how whole --network packaged:x2

Written are the sets `clean`, `JPEG_90`, `JPEG_50` (libjpeg's quality) and `noise_5`, `noise_15` (white Gaussian noise
of this standard deviation on a scale of 255, the same each time), as `GTmodK` and `LRbicxK`.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from prepare_demo import update_png
from prepare_div2k import PrepareError, list_images, read_bgr, run
from tqdm import tqdm


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """An (H, W, 3) uint8 BGR image after JPEG compression."""
    return cv2.imdecode(cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def noise(image: np.ndarray, deviation: int) -> np.ndarray:
    """An (H, W, 3) uint8 image with noise of this standard deviation, in steps of 1/255."""
    added = np.random.default_rng(0).normal(0, deviation, image.shape)
    return np.rint(image + added).clip(0, 255).astype(np.uint8)


DEGRADATIONS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    'clean': lambda image: image,
    'JPEG_90': lambda image: jpeg(image, 90),
    'JPEG_50': lambda image: jpeg(image, 50),
    'noise_5': lambda image: noise(image, 5),
    'noise_15': lambda image: noise(image, 15),
}


def degrade(folder: Path, scale: int, out: Path) -> None:
    """Write the sets from the `GTmodK` and `LRbicxK` of one.

    Raises:
        PrepareError: It does not have them, or an image cannot be read.
    """
    gt, lq = f'GTmod{scale}', f'LRbicx{scale}'
    images, originals = (list_images(folder / kind) if (folder / kind).is_dir() else {} for kind in (lq, gt))
    if not images or originals.keys() != images.keys():
        raise PrepareError(f'{folder}: {gt} and {lq} with images of the same names are needed')
    for name, path in tqdm(images.items(), unit='image', disable=None):
        low, (high, _) = read_bgr(path)[0], read_bgr(originals[name])
        for kind, change in DEGRADATIONS.items():
            update_png(out / kind / gt / f'{name}.png', high)
            update_png(out / kind / lq / f'{name}.png', change(low))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('folder', type=Path, metavar='SET', help='with GTmodK and LRbicxK in it')
    add('--scale', type=int, required=True, help='K')
    add('--out', type=Path, default=Path('datasets/degraded'), help='folder to write to (%(default)s)')
    return run(degrade, **vars(parser.parse_args(arguments)))


if __name__ == '__main__':
    sys.exit(main())
