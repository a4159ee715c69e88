"""BasicSR's `PairedImageDataset` without decoding: pixels come from a memory map or from memory.

For a patch of 128x128, `PairedImageDataset` decodes a sub-image of 480x480, fourteen times as many pixels. Of
uncompressed pixels, only the rows of the patch are read. The samples equal those of `PairedImageDataset` byte for byte
with the same seed, because the same functions of BasicSR crop, flip and rotate in the same order.
"""

import random
from abc import abstractmethod
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from basicsr.data.paired_image_dataset import PairedImageDataset
from basicsr.data.transforms import augment, paired_random_crop
from basicsr.utils import FileClient, bgr2ycbcr, img2tensor
from torch import Tensor
from torchvision.transforms.functional import normalize
from tqdm import tqdm

from asid_plugin.compat.sampling import seeded_by_draw
from asid_plugin.pairs import SampleError, decode
from asid_plugin.pairs.lmdbs import raw_lmdb
from asid_plugin.registry import DATASET_REGISTRY

from .detail import detail, draw_detailed
from .raw_pixels import Pixels, RawPixels


def rgb_tensor(image: Pixels) -> Tensor:
    """Make (3, H, W) float32 RGB in [0, 1] of an image."""
    planes = np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1))  # reversed as bytes, which moves less memory
    return torch.from_numpy(planes).float().div_(255)


class FastPairedImageDataset(PairedImageDataset):
    """The common base class; options and samples as in `PairedImageDataset`.

    A further option, `detail`, replaces patches of little detail by patches of other images; see `draw_detailed`.
    """

    @abstractmethod
    def pixels(self, index: int) -> tuple[Pixels, Pixels]:
        """The full GT and LQ image of a pair."""

    @seeded_by_draw
    def __getitem__(self, index: int) -> dict[str, Any]:
        """A sample: `lq` and `gt`, (3, H, W) float32 RGB in [0, 1], and their paths."""
        if self.opt['phase'] == 'train':
            indices = chain([index], iter(lambda: random.randrange(len(self)), None))
            index, gt, lq = draw_detailed(
                self.opt.get('detail'), lambda: self._crop(next(indices)), lambda patch: detail(*patch[1:])
            )
            gt, lq = augment([gt, lq], self.opt['use_hflip'], self.opt['use_rot'])
        else:
            gt, lq = self.pixels(index)
            gt = gt[: lq.shape[0] * self.opt['scale'], : lq.shape[1] * self.opt['scale']]
        return {
            'lq': self.to_tensor(lq),
            'gt': self.to_tensor(gt),
            **{name: self.paths[index][name] for name in ('lq_path', 'gt_path')},
        }

    def _crop(self, index: int) -> tuple[int, Pixels, Pixels]:
        """The index, and a GT and an LQ patch of this pair at random."""
        gt, lq = self.pixels(index)
        place = self.paths[index]['gt_path']
        gt, lq = paired_random_crop(gt, lq, self.opt['gt_size'], self.opt['scale'], place)
        return index, gt.copy(), lq.copy()

    def to_tensor(self, image: Pixels) -> Tensor:
        """Make the tensor of a sample: RGB in floating point; luma or normalised as in the options."""
        if self.opt.get('color') == 'y':
            luma = bgr2ycbcr(image.astype(np.float32) / 255.0, y_only=True)[..., None]
            tensor = img2tensor(luma, bgr2rgb=True, float32=True)
        else:
            tensor = rgb_tensor(image)
        if self.mean is not None or self.std is not None:
            normalize(tensor, self.mean, self.std, inplace=True)
        return tensor


@DATASET_REGISTRY.register()
class RawPairedImageDataset(FastPairedImageDataset):
    """Pairs in two LMDBs of raw pixels, made by `asid prepare div2k --raw`.

    Options as in `PairedImageDataset` with `io_backend: type: lmdb`. The data roots may also name the LMDBs of PNG
    files: for `NAME.lmdb` the raw LMDB beside it, `NAME_raw.lmdb`, is read. Only the crop is read; the system caches as
    much as fits into memory. The checksum of an image, if any, is verified at its first use.

    Raises:
        SampleError: A value does not have the length in `meta_info.txt`, so the LMDB has no raw pixels; or its checksum
            differs.
        LMDBError: `meta_info.txt` or the checksums cannot be read.
    """

    def __init__(self, opt: dict[str, Any]) -> None:
        super().__init__(opt | {key: str(raw_lmdb(Path(opt[key]))) for key in ('dataroot_gt', 'dataroot_lq')})
        self.gt, self.lq = RawPixels(Path(self.gt_folder)), RawPixels(Path(self.lq_folder))

    def pixels(self, index: int) -> tuple[Pixels, Pixels]:
        """The GT and LQ image of a pair, views of the memory map."""
        paths = self.paths[index]
        return self.gt[paths['gt_path']], self.lq[paths['lq_path']]


@DATASET_REGISTRY.register()
class CachedPairedImageDataset(FastPairedImageDataset):
    """Pairs of any kind that `PairedImageDataset` reads, decoded once and held in memory, for small sets.

    They are decoded when the dataset is built. Forked workers share them. In distributed training, where BasicSR spawns
    workers, and on macOS and Windows, each worker holds a copy.

    Raises:
        SampleError: An image is missing or cannot be decoded.
    """

    def __init__(self, opt: dict[str, Any]) -> None:
        super().__init__(opt)
        client = _open(self.io_backend_opt)
        self.cache = [
            (self._read(client, 'gt', path['gt_path']), self._read(client, 'lq', path['lq_path']))
            for path in tqdm(self.paths, desc='reading', unit='pair', leave=False, delay=1, disable=None)
        ]

    def pixels(self, index: int) -> tuple[Pixels, Pixels]:
        """The GT and LQ image of a pair, from memory."""
        return self.cache[index]

    def _read(self, client: FileClient, key: str, path: str) -> Pixels:
        name = f'{self.opt[f"dataroot_{key}"]}: {path}' if self.io_backend_opt['type'] == 'lmdb' else path
        try:
            return decode(client.get(path, key), name)
        except OSError as error:
            raise SampleError(f'{name}: {error.strerror}') from error


def _open(io_backend: dict[str, Any]) -> FileClient:
    return FileClient(io_backend['type'], **{key: value for key, value in io_backend.items() if key != 'type'})
