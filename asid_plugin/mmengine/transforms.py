"""Transforms of pairs. `lq` and `gt` of a sample are (H, W, 3) uint8 BGR images; crops and flips are BasicSR's."""

from typing import Any

import numpy as np
from basicsr.data.transforms import augment, paired_random_crop
from mmcv.transforms import BaseTransform
from mmengine import fileio
from mmengine.structures import BaseDataElement

from asid_plugin.mmengine.registry import TRANSFORMS
from asid_plugin.pairs import SampleError, decode
from asid_plugin.pairs.lmdbs import NOT_THERE, raw_fault
from asid_plugin.pairs.meta_info import Shape

Sample = dict[str, Any]


@TRANSFORMS.register_module()
class LoadImagePair(BaseTransform):
    """Read `lq` and `gt` from `lq_path` and `gt_path`, files or `folder.lmdb/key`.

    For raw pixels the sample has their shape, `lq_shape`, and their checksum `lq_crc32`, which may be None.

    Args:
        backend_args: Arguments of MMEngine's file backend for files; by default the local disk.

    Raises:
        SampleError: An image is missing or damaged.
    """

    def __init__(self, backend_args: dict[str, Any] | None = None) -> None:
        self.backend_args = backend_args

    def transform(self, results: Sample) -> Sample:
        """Add the images to a sample with their paths."""
        for side in ('lq', 'gt'):
            if f'{side}_path' in results:
                shape, crc32 = results.get(f'{side}_shape'), results.get(f'{side}_crc32')
                results[side] = self.read(results[f'{side}_path'], shape, crc32)
        return results

    def read(self, path: str, shape: Shape | None = None, crc32: int | None = None) -> np.ndarray:
        """An image file, or a value of an LMDB, as (H, W, 3) uint8 BGR; with a shape, the value has raw pixels."""
        folder, _, key = path.rpartition('/')
        if folder.endswith('.lmdb'):
            content = fileio.get(key, {'backend': 'lmdb', 'db_path': folder})
        else:
            try:
                content = fileio.get(path, self.backend_args)
            except OSError as error:
                raise SampleError(f'{path}: {error.strerror}') from error
        if shape is None:
            return decode(content, path)
        if fault := raw_fault(content, shape, crc32) if content else NOT_THERE:
            raise SampleError(f'{path}: {fault}')
        return np.frombuffer(content, np.uint8).reshape(shape).copy()  # a copy, because later transforms may modify it


@TRANSFORMS.register_module()
class PairedRandomCrop(BaseTransform):
    """Crop a patch of `lq` and the same of `gt`, at a place from Python's `random`.

    Args:
        lq_size: Side of the patch, LR pixels.

    Raises:
        ValueError: An image is too small, or `gt` does not have `scale` times the sides of `lq`.
    """

    def __init__(self, lq_size: int) -> None:
        self.lq_size = lq_size

    def transform(self, results: Sample) -> Sample:
        """Crop both images of a sample."""
        scale = results['scale']
        results['gt'], results['lq'] = paired_random_crop(
            results['gt'], results['lq'], self.lq_size * scale, scale, results['gt_path']
        )
        return results


@TRANSFORMS.register_module()
class PairedAugment(BaseTransform):
    """Flip and rotate both images in the same way.

    Args:
        hflip: Mirror half of the pairs.
        rotation: Rotate by a multiple of 90 degrees, all equally likely (with `hflip`).
    """

    def __init__(self, hflip: bool = True, rotation: bool = True) -> None:
        self.hflip = hflip
        self.rotation = rotation

    def transform(self, results: Sample) -> Sample:
        """Flip and rotate both images of a sample."""
        results['gt'], results['lq'] = augment([results['gt'], results['lq']], self.hflip, self.rotation)
        return results


@TRANSFORMS.register_module()
class CropToScale(BaseTransform):
    """Crop `gt` to `scale` times the sides of `lq`, at the bottom and right.

    Raises:
        ValueError: `gt` is smaller than that.
    """

    def transform(self, results: Sample) -> Sample:
        """Crop the GT image of a sample."""
        if 'gt' in results:
            size = tuple(side * results['scale'] for side in results['lq'].shape[:2])
            results['gt'] = results['gt'][: size[0], : size[1]]
            if results['gt'].shape[:2] != size:
                right = f'at least {size}, {results["scale"]} times {results["lq_path"]}'
                raise ValueError(f'{results["gt_path"]}: (height, width) must be {right}')
        return results


@TRANSFORMS.register_module()
class PackPair(BaseTransform):
    """Pack tensors for MMEngine's models: `inputs`, which is `lq`, and `data_samples` with `gt`.

    Both are (3, H, W) uint8 BGR, as from mmcv's `ImageToTensor`. Other data of the pair are the metainfo of the sample:
    `lq_path`, `gt_path`, `scale`, `dataset`.
    """

    META = ('lq_path', 'gt_path', 'scale', 'dataset')

    def transform(self, results: Sample) -> Sample:
        """Pack a sample into `inputs` and `data_samples`."""
        sample = BaseDataElement(metainfo={key: results[key] for key in self.META if key in results})
        if 'gt' in results:
            sample.gt = results['gt']
        return {'inputs': results['lq'], 'data_samples': sample}
