"""Make sets with JPEG-compressed or noisy LR images, like many photographs, to evaluate networks.

    asid prepare degraded datasets/photos/held_out --scale 2 -o datasets/degraded
    asid evaluate datasets/degraded --scale 2 --how whole --network packaged:x2

The outputs are the sets `clean`, `JPEG_90`, `JPEG_50` (libjpeg's quality) and `noise_5`, `noise_15` (white Gaussian
noise with this standard deviation on a scale of 255, the same each time), as `GTmodK` and `LRbicxK`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from asid_plugin.prepare.demo import update_png
from asid_plugin.prepare.sub_images import Pixels, PrepareError, alone_in, list_images, read_bgr


def jpeg(image: Pixels, quality: int) -> Pixels:
    """An image after JPEG compression."""
    _, data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None  # just encoded, so never None
    return decoded.astype(np.uint8, copy=False)


def noise(image: Pixels, deviation: int) -> Pixels:
    """An image with noise of this standard deviation, in units of 1/255."""
    added = np.random.default_rng(0).normal(0, deviation, image.shape)
    return np.rint(image + added).clip(0, 255).astype(np.uint8)


DEGRADATIONS: Mapping[str, Callable[[Pixels], Pixels]] = {
    'clean': lambda image: image,
    'JPEG_90': lambda image: jpeg(image, 90),
    'JPEG_50': lambda image: jpeg(image, 50),
    'noise_5': lambda image: noise(image, 5),
    'noise_15': lambda image: noise(image, 15),
}


def degrade(folder: Path, scale: int, out: Path) -> None:
    """Write the sets from the `GTmodK` and `LRbicxK` of a set.

    Raises:
        PrepareError: The folders are missing, or an image cannot be read.
        LockedError: Another preparation writes to `out`.
    """
    gt, lq = f'GTmod{scale}', f'LRbicx{scale}'
    images, originals = (list_images(folder / kind) if (folder / kind).is_dir() else {} for kind in (lq, gt))
    if not images or originals.keys() != images.keys():
        raise PrepareError(f'{folder}: it needs {gt} and {lq} with images of the same names')
    with alone_in(out):
        for name, path in tqdm(images.items(), unit='image', disable=None):
            low, (high, _) = read_bgr(path)[0], read_bgr(originals[name])
            for kind, change in DEGRADATIONS.items():
                update_png(out / kind / gt / f'{name}.png', high)
                update_png(out / kind / lq / f'{name}.png', change(low))
