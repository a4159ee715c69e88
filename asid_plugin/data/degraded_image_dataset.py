"""GT images, whose LR patches are made during training, with random degradations."""

import random
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import cv2
from basicsr.data.transforms import augment
from basicsr.utils import FileClient, scandir
from torch.utils.data import Dataset

from asid_plugin.compat.sampling import seeded_by_draw
from asid_plugin.pairs import SampleError, decode
from asid_plugin.pairs.meta_info import read_lines, read_shapes
from asid_plugin.registry import DATASET_REGISTRY

from .degradation import Degradation
from .detail import detail, draw_detailed
from .fast_paired_dataset import rgb_tensor
from .raw_pixels import Pixels, RawPixels


class _Images(Protocol):
    names: list[str]

    def __getitem__(self, name: str) -> Pixels: ...


class _Files:
    """Image files in a folder or as the values of an LMDB, decoded each time."""

    def __init__(self, root: Path, names: list[str], io_backend: dict[str, Any]) -> None:
        self.root, self.names = root, names
        self.io_backend = io_backend
        self.client: FileClient | None = None

    def __getitem__(self, name: str) -> Pixels:
        if self.client is None:  # opened by the worker that reads
            of_lmdb = {'db_paths': [str(self.root)], 'client_keys': ['gt']}
            options = of_lmdb if self.io_backend['type'] == 'lmdb' else {}
            self.client = FileClient(self.io_backend['type'], **options)
        place = name if self.io_backend['type'] == 'lmdb' else str(self.root / name)
        try:
            return decode(self.client.get(place, 'gt'), f'{self.root}: {name}')
        except OSError as error:
            raise SampleError(f'{place}: {error.strerror}') from error


@DATASET_REGISTRY.register()
class DegradedImageDataset(Dataset[dict[str, Any]]):
    """Patches of GT images, with LR patches made by BasicSR's degradations at random; for training only.

    `Degradation` lists the degradations. Images come from a folder, an LMDB of PNG files, or an LMDB of raw pixels. A
    sample depends only on Python's `random`. With the same state, crops, flips and rotations are those of
    `PairedImageDataset`.

    Raises:
        SampleError: An image is missing, cannot be decoded, or is smaller than a patch.
        LMDBError: The list of the images cannot be read.
    """

    def __init__(self, opt: dict[str, Any]) -> None:
        super().__init__()
        self.opt = opt
        self.images = _find_images(opt)
        self.degrade = Degradation(opt)

    def __len__(self) -> int:
        return len(self.images.names)

    @seeded_by_draw
    def __getitem__(self, index: int) -> dict[str, Any]:
        """A sample: `lq` and `gt`, (3, H, W) float32 RGB in [0, 1], `lq` of 8 bits, and the image's name as paths."""
        opt, margin = self.opt, self.degrade.margin * self.opt['scale']
        inside = slice(margin, -margin)
        names = chain([self.images.names[index]], iter(lambda: random.choice(self.images.names), None))
        name, patch = draw_detailed(
            opt.get('detail'),
            lambda: (name := next(names), self._crop(name, margin)),
            lambda drawn: self._detail(drawn[1][inside, inside]),
        )
        patch = augment(patch, opt['use_hflip'], opt['use_rot'])
        gt = patch[inside, inside]
        return {'lq': rgb_tensor(self.degrade(patch)), 'gt': rgb_tensor(gt), 'lq_path': name, 'gt_path': name}

    def _detail(self, gt: Pixels) -> float:
        """Of a patch whose LR patch is not made yet; averages of pixels take its place."""
        side = self.opt['gt_size'] // self.opt['scale']
        return detail(gt, cv2.resize(gt, (side, side), interpolation=cv2.INTER_AREA))

    def _crop(self, name: str, margin: int) -> Pixels:
        """A patch at random, with a margin that is mirrored where the image ends."""
        image, size, scale = self.images[name], self.opt['gt_size'], self.opt['scale']
        if min(image.shape[:2]) < size:
            height, width = image.shape[:2]
            raise SampleError(f'{self.opt["dataroot_gt"]}: {name}: {width}x{height} is below gt_size, {size}')
        # whole LR pixels, drawn as paired_random_crop draws them
        top, left = (random.randint(0, side // scale - size // scale) * scale for side in image.shape[:2])
        begins = [start - margin for start in (top, left)]
        ends = [start + size + margin for start in (top, left)]
        inside = image[max(begins[0], 0) : ends[0], max(begins[1], 0) : ends[1]]
        before = [max(-begin, 0) for begin in begins]
        after = [max(end - side, 0) for end, side in zip(ends, image.shape[:2], strict=True)]
        return cv2.copyMakeBorder(inside, before[0], after[0], before[1], after[1], cv2.BORDER_REFLECT)


def _find_images(opt: dict[str, Any]) -> _Images:
    root, io_backend = Path(opt['dataroot_gt']), opt['io_backend']
    if io_backend['type'] == 'lmdb':
        shapes, is_raw = read_shapes(root)
        return RawPixels(root) if is_raw else _Files(root, list(shapes), io_backend)
    listed = opt.get('meta_info_file')
    names = [line.split(' ')[0] for line in read_lines(Path(listed))] if listed else sorted(scandir(root))
    return _Files(root, names, io_backend)
