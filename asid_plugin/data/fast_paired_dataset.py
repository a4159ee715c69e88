"""BasicSR's `PairedImageDataset` without decoding: pixels come from a memory map or from memory.

For a patch of 128x128, `PairedImageDataset` decodes a sub-image of 480x480, fourteen times as many pixels. Of
uncompressed pixels, only the rows of the patch are read. The samples equal those of `PairedImageDataset` byte for byte
with the same seed, because the same functions of BasicSR crop, flip and rotate in the same order.
"""

from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from basicsr.data.paired_image_dataset import PairedImageDataset
from basicsr.data.transforms import augment, paired_random_crop
from basicsr.utils import FileClient, bgr2ycbcr, img2tensor
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.functional import normalize
from tqdm import tqdm

from asid_plugin.compat.sampling import seeded_by_draw
from asid_plugin.pairs import SampleError, decode
from asid_plugin.pairs.lmdbs import NOT_THERE, raw_fault, raw_lmdb
from asid_plugin.pairs.meta_info import read_checksums, read_shapes
from asid_plugin.registry import DATASET_REGISTRY

Pixels = NDArray[np.uint8]
"""(H, W, 3) BGR, possibly read-only."""


class FastPairedImageDataset(PairedImageDataset):
    """The common base class; options and samples as in `PairedImageDataset`."""

    @abstractmethod
    def pixels(self, index: int) -> tuple[Pixels, Pixels]:
        """The full GT and LQ image of a pair."""

    @seeded_by_draw
    def __getitem__(self, index: int) -> dict[str, Any]:
        """A sample: `lq` and `gt`, (3, H, W) float32 RGB in [0, 1], and their paths."""
        opt, scale = self.opt, self.opt['scale']
        gt, lq = self.pixels(index)
        if opt['phase'] == 'train':
            crops = paired_random_crop(gt, lq, opt['gt_size'], scale, self.paths[index]['gt_path'])
            gt, lq = augment([crop.copy() for crop in crops], opt['use_hflip'], opt['use_rot'])
        else:
            gt = gt[: lq.shape[0] * scale, : lq.shape[1] * scale]
        return {
            'lq': self.to_tensor(lq),
            'gt': self.to_tensor(gt),
            **{name: self.paths[index][name] for name in ('lq_path', 'gt_path')},
        }

    def to_tensor(self, image: Pixels) -> Tensor:
        """Make the tensor of a sample: RGB in floating point; luma or normalised as in the options."""
        if self.opt.get('color') == 'y':
            luma = bgr2ycbcr(image.astype(np.float32) / 255.0, y_only=True)[..., None]
            tensor = img2tensor(luma, bgr2rgb=True, float32=True)
        else:  # bytes are rotated before the conversion to floats, which moves less memory
            planes = np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1))
            tensor = torch.from_numpy(planes).float().div_(255)
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
        self.transactions: dict[str, Any] | None = None
        roots = {'gt': Path(self.gt_folder), 'lq': Path(self.lq_folder)}
        self.shapes = {key: read_shapes(root)[0] for key, root in roots.items()}
        self.checksums = {key: read_checksums(root, self.shapes[key]) for key, root in roots.items()}
        # shared by the workers, also those of later epochs
        self.compared = {key: torch.zeros(len(self.paths), dtype=torch.bool).share_memory_() for key in roots}

    def pixels(self, index: int) -> tuple[Pixels, Pixels]:
        """The GT and LQ image of a pair, views of the memory map."""
        if self.transactions is None:  # opened by the worker that reads, as in `PairedImageDataset`
            client = _open(self.io_backend_opt).client
            self.transactions = {key: lmdb.begin(buffers=True) for key, lmdb in client._client.items()}
        return self._view(self.transactions, 'gt', index), self._view(self.transactions, 'lq', index)

    def _view(self, transactions: dict[str, Any], key: str, index: int) -> Pixels:
        name = self.paths[index][f'{key}_path']
        shape = self.shapes[key][name]
        value = transactions[key].get(name.encode())
        checksum = None if self.compared[key][index] else self.checksums[key].get(name)
        if fault := NOT_THERE if value is None else raw_fault(value, shape, checksum):
            raise SampleError(f'{self.opt[f"dataroot_{key}"]}: {name}: {fault}')
        self.compared[key][index] = True
        return np.frombuffer(value, np.uint8).reshape(shape)


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
