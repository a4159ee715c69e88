"""Pairs of LQ and GT images in folders or LMDBs."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, NamedTuple

from mmengine import fileio
from mmengine.dataset import BaseDataset

from asid_plugin.errors import ASIDError
from asid_plugin.images import READABLE
from asid_plugin.mmengine.order import Draw, seeded
from asid_plugin.mmengine.registry import DATASETS
from asid_plugin.mmengine.transforms import PairedRandomCrop
from asid_plugin.pairs.files import GREY, check_files, find_grey, fits
from asid_plugin.pairs.lmdbs import check_whole, find_faults
from asid_plugin.pairs.makers import BENCHMARK, UNKNOWN, maker
from asid_plugin.pairs.meta_info import META_INFO, LMDBError, Shape, read_checksums, read_shapes

SIDES = ('lq', 'gt')


class DatasetError(ASIDError):
    """Unusable data sets; the message has one line for each fault, with the place and the reason."""


def too_few(images: int, batch: int) -> str:
    """The message on too few images for a batch on every rank."""
    return f'{images} images for training, fewer than the batch of {batch} on every rank'


class Listing(NamedTuple):
    """The contents of a folder or LMDB.

    Attributes:
        shapes: Shapes of its images, by name or key.
        raw: Whether they are raw pixels.
        checksums: Checksums of raw pixels by key, if any.
    """

    shapes: dict[str, Shape]
    raw: bool = False
    checksums: Mapping[str, int] = MappingProxyType({})


@contextmanager
def checked_once() -> Iterator[None]:
    """Let datasets with the same settings check their images only once within the context."""
    token = _CHECKED.set({})
    try:
        yield
    finally:
        _CHECKED.reset(token)


_CHECKED: ContextVar[dict[str, list[dict[str, Any]]] | None] = ContextVar('_CHECKED', default=None)


@DATASETS.register_module()
class PairedImageDataset(BaseDataset):
    """Images with the same names in two folders, or the same keys in two LMDBs of BasicSR's form.

    Args:
        scale: Scale k: a GT image has k times the sides of its LQ image.
        data_prefix: The folder of each side, by 'lq' and 'gt', below `data_root`. A name ending in `.lmdb` is an LMDB
            with a `meta_info.txt`. 'gt' may be omitted in testing without metrics.
        name: Name of the set, for metrics and files.
        filename_tmpl: The name of an LQ image, without extension; `{}` is the name of the GT image: '{}x2' for DIV2K's
            files.
        backend_args: Arguments of MMEngine's file backend for folders; by default the local disk.
        **kwargs: Arguments of `BaseDataset`.

    Raises:
        DatasetError: A folder is missing or has no images, an image is unusable, or the images do not fit each other.
    """

    def __init__(
        self,
        scale: int,
        data_prefix: dict[str, str],
        name: str = '',
        filename_tmpl: str = '{}',
        backend_args: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.scale = scale
        self.name = name
        self.filename_tmpl = filename_tmpl
        self.backend_args = backend_args
        super().__init__(data_prefix=data_prefix, **kwargs)

    def __getitem__(self, idx: int) -> dict[str, Any]:
        """A sample; for a `Draw`, with the crop, flips and rotations of its seed."""
        if not isinstance(idx, Draw):
            return super().__getitem__(idx)
        with seeded(idx.seed):
            return super().__getitem__(int(idx))

    def load_data_list(self) -> list[dict[str, Any]]:
        """`lq_path` and `gt_path` of each pair, sorted; `folder.lmdb/key` for an LMDB, with shapes for raw pixels."""
        checked = _CHECKED.get()
        if checked is None:
            return self.find_pairs()
        settings = self.scale, self.name, self.filename_tmpl, self.backend_args, self.data_prefix, self.test_mode
        key = repr((*settings, self.patch))
        if key in checked:
            return checked.pop(key)
        checked[key] = self.find_pairs()
        return list(checked[key])

    @property
    def patch(self) -> int:
        """Side of the cropped patches in LR pixels; 0 for whole images."""
        crops = (step for step in self.pipeline.transforms if isinstance(step, PairedRandomCrop))
        return max((crop.lq_size for crop in crops), default=0)

    def find_pairs(self) -> list[dict[str, Any]]:
        """List the pairs and check them; see `load_data_list`."""
        if not self.data_prefix.get('lq'):
            raise DatasetError(f"data_prefix: 'lq' is missing; found {list(self.data_prefix)}")
        names: dict[str, list[str]] = {}
        lacks: list[str] = []
        for side in filter(self.data_prefix.get, SIDES):
            try:
                names[side] = self.list_images(self.data_prefix[side])
            except DatasetError as error:
                lacks += error.args
        if lacks:
            raise DatasetError(*dict.fromkeys(lacks))
        pairs = self.pair(**names)
        listings = {side: self.look(side, files) for side, files in names.items()}
        self.check_sizes(pairs, listings)
        common = {'scale': self.scale, 'dataset': self.name}
        return [self.describe(pair, listings) | common for pair in pairs]

    def describe(self, pair: dict[str, str], listings: dict[str, Listing]) -> dict[str, Any]:
        """The paths of the images of a pair, with shapes and checksums for raw pixels."""
        found: dict[str, Any] = {}
        for side, file in pair.items():
            listing = listings[side]
            found[f'{side}_path'] = fileio.join_path(self.data_prefix[side], file)
            if listing.raw:
                found |= {f'{side}_shape': listing.shapes[file], f'{side}_crc32': listing.checksums.get(file)}
        return found

    def list_images(self, folder: str) -> list[str]:
        """Names of the images in a folder, or keys in an LMDB, sorted."""
        usual = f'{BENCHMARK}; to skip this set, remove it from the config' if self.test_mode else UNKNOWN
        missing = f'; {maker(PurePosixPath(folder)) or usual}'
        if folder.endswith('.lmdb'):
            listing = fileio.join_path(folder, META_INFO)
            if not fileio.exists(listing):
                raise DatasetError(f'{folder}: not an LMDB of images, {listing} is missing{missing}')
            try:
                return sorted(read_shapes(Path(folder))[0])
            except LMDBError as error:
                raise DatasetError(str(error)) from error
        if not fileio.isdir(folder, self.backend_args):
            raise DatasetError(f'{folder}: no such folder{missing}')
        files = fileio.list_dir_or_file(folder, list_dir=False, backend_args=self.backend_args)
        images = sorted(file for file in files if file.lower().endswith(READABLE))
        if not images:
            raise DatasetError(f'{folder}: no images in it ({", ".join(READABLE)})')
        return images

    def look(self, side: str, names: list[str]) -> Listing:
        """Read the shapes of images, and check that each is usable; images on a server are not checked."""
        folder = Path(self.data_prefix[side])
        faults: dict[Path, str]
        if folder.suffix == '.lmdb':
            try:
                shapes, raw = read_shapes(folder)
                check_whole(folder, shapes, maker(folder) or UNKNOWN)
                faults = {folder / key: fault for key, fault in find_faults(folder, shapes, names, raw).items()}
                checksums = read_checksums(folder, shapes) if raw else {}
            except LMDBError as error:
                raise DatasetError(str(error)) from error
            grey = [folder / key for key in names if shapes[key][2] != 3]
        elif self.backend_args is None:
            headers, faults = check_files([folder / name for name in names])
            shapes, raw = {path.name: (header.height, header.width, 3) for path, header in headers.items()}, False
            checksums = {}
            grey = [] if self.test_mode else find_grey(headers)
        else:
            return Listing({})
        for path in grey:
            faults.setdefault(path, GREY)
        for path, fault in faults.items():
            more = f' (and {len(faults) - 1} more cannot be used)' if len(faults) > 1 else ''
            raise DatasetError(f'{path}: {fault}{more}')
        return Listing(shapes, raw, checksums)

    def check_sizes(self, pairs: list[dict[str, str]], listings: dict[str, Listing]) -> None:
        """Check that GT images have `scale` times the sides of their LQ images, in testing plus a remainder."""
        for pair in pairs:
            if all(pair.get(side) in listings[side].shapes for side in listings) and 'gt' in pair:
                gt, lq = (listings[side].shapes[pair[side]][:2] for side in ('gt', 'lq'))
                if not fits(gt, lq, self.scale, exact=not self.test_mode):
                    here, there = (fileio.join_path(self.data_prefix[side], pair[side]) for side in SIDES)
                    right = f'{lq[1] * self.scale}x{lq[0] * self.scale}, {self.scale} times {here}'
                    raise DatasetError(f'{there}: {gt[1]}x{gt[0]} pixels; it should have {right}')
        for name, (height, width, _) in listings['lq'].shapes.items():
            if min(height, width) < self.patch:
                where = fileio.join_path(self.data_prefix['lq'], name)
                raise DatasetError(f'{where}: {width}x{height} pixels, less than a patch, lq_size {self.patch}')

    def pair(self, lq: list[str], gt: list[str] | None = None) -> list[dict[str, str]]:
        """Pair every GT image with its LQ image."""
        if gt is None:
            return [{'lq': file} for file in lq]
        pairs = [{'lq': self.lq_name(file), 'gt': file} for file in gt]
        alone = sorted({pair['lq'] for pair in pairs}.symmetric_difference(lq))
        if alone:
            where = ', '.join(self.data_prefix[side] for side in SIDES)
            raise DatasetError(f'{where}: {len(alone)} images have no partner, such as {alone[0]}')
        return pairs

    def lq_name(self, gt_name: str) -> str:
        """The name of the LQ image of a GT image."""
        path = PurePosixPath(gt_name)
        return f'{self.filename_tmpl.format(path.stem)}{path.suffix}'
