"""Make the data of the demo from photographs in scikit-image, a dependency of BasicSR; nothing is downloaded.

    asid prepare demo -o datasets/demo

Outputs::

    datasets/demo/HR/                             training photographs; from them, by `sub_images`:
    datasets/demo/train_HR_sub.lmdb               their sub-images
    datasets/demo/train_LR_bicubic_X2_sub.lmdb    the same at half the size
    datasets/demo/val/GTmod2/, val/LRbicx2/       validation photographs, and the same at half the size
    datasets/demo/photo/                          a photograph to upscale

No photograph is in two of the three sets. The retina, the moon and the night sky are omitted, because they have little
detail.
"""

from pathlib import Path

import numpy as np
import skimage.data

from asid_plugin.evaluate.protocol import downscale
from asid_plugin.files import whole_file
from asid_plugin.prepare.sub_images import Pixels, PrepareError, alone_in, encode_png, list_images, prepare
from asid_plugin.printable import printable

TRAIN = (
    'astronaut',
    'stereo_motorcycle',
    'immunohistochemistry',
    'camera',
    'brick',
    'grass',
    'gravel',
    'coins',
    'page',
)
VALIDATION = {'chelsea': (300, 450), 'coffee': (320, 400)}  # height and width of the used centre
PHOTO = 'rocket'


def load(name: str) -> Pixels:
    """Load a photograph of scikit-image as (height, width, 3) uint8 BGR; of a stereo pair the left one."""
    image = getattr(skimage.data, name)()
    image = np.atleast_3d(image[0] if isinstance(image, tuple) else image)
    return image[..., ::-1] if image.shape[2] == 3 else np.repeat(image, 3, axis=2)


def update_png(path: Path, image: Pixels) -> None:
    """Write a PNG, unless it exists with the same pixels."""
    content = encode_png(np.ascontiguousarray(image))
    if not path.exists() or path.read_bytes() != content:
        with whole_file(path) as unfinished:
            unfinished.write_bytes(content)


def prepare_demo(out: Path, raw: bool = False) -> None:
    """Write the data of the demo to the folder `out`, optionally with LMDBs of raw pixels. A second call verifies it.

    Raises:
        PrepareError: `out/HR` has other images, or see `sub_images.prepare`.
        LockedError: Another preparation writes to `out`.
    """
    with alone_in(out):
        write_photographs(out)
        prepare(hr=out / 'HR', out=out, name='train', scales=(2,), raw=raw)


def write_photographs(out: Path) -> None:
    """Write the photographs; arguments and errors as in `prepare_demo`."""
    train, val = out / 'HR', out / 'val'
    train.mkdir(parents=True, exist_ok=True)
    strange = [path.name for stem, path in list_images(train).items() if stem not in TRAIN]
    if strange:
        raise PrepareError(f'{train} has images that do not belong to the demo: {", ".join(strange)}. Remove them')
    for name in TRAIN:
        update_png(train / f'{name}.png', load(name))
    for name, (height, width) in VALIDATION.items():
        image = load(name)
        top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
        gt = image[top : top + height, left : left + width]
        update_png(val / 'GTmod2' / f'{name}.png', gt)
        update_png(val / 'LRbicx2' / f'{name}.png', downscale(np.ascontiguousarray(gt), 2))
    update_png(out / 'photo' / f'{PHOTO}.png', load(PHOTO))
    print(f'Photographs of scikit-image: {", ".join(TRAIN)} for training')
    held_out = f'{", ".join(VALIDATION)} for validation ({val}), {PHOTO} for upscaling ({out / "photo"})'
    print(printable(f'Held out: {held_out}'))
