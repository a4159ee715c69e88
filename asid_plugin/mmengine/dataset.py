"""Pairs of LQ and GT images in folders or LMDBs."""

from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from mmengine import fileio
from mmengine.dataset import BaseDataset

from asid_plugin.errors import ASIDError
from asid_plugin.images import READABLE
from asid_plugin.mmengine.registry import DATASETS
from asid_plugin.pairs.files import GREY, check_files, find_grey, fits
from asid_plugin.pairs.lmdbs import LMDBError, Shape, check_whole, find_faults, read_shapes

SIDES = ('lq', 'gt')


class DatasetError(ASIDError):
    """A data set that cannot be used; the message is one line that says where and why."""


class Listing(NamedTuple):
    """The contents of a folder or LMDB: the shapes of its images by name or key, and whether they are raw pixels."""

    shapes: dict[str, Shape]
    raw: bool = False


@DATASETS.register_module()
class PairedImageDataset(BaseDataset):
    """Images of the same names in two folders, or of the same keys in two LMDBs of BasicSR's kind.

    Args:
        scale: Scale k: a GT image has k times the sides of its LQ image.
        data_prefix: The folder of each side, by 'lq' and 'gt', below `data_root`. One whose name ends in `.lmdb` is an
            LMDB with a `meta_info.txt`. 'gt' may be left out in testing: nothing can be measured then.
        name: Of the set, for metrics and files.
        filename_tmpl: The name of an LQ image, without extension, for that of its GT image as `{}`: DIV2K's own files
            have '{}x2'.
        backend_args: Of MMEngine's file backend for folders; the local disk without it.
        **kwargs: As `BaseDataset`'s.

    Raises:
        DatasetError: A folder is missing or without images, an image cannot be used, or the two do not go together.
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

    def load_data_list(self) -> list[dict[str, Any]]:
        """Each pair's `lq_path` and `gt_path`, sorted; in an LMDB, `folder.lmdb/key`, and of raw pixels the shapes."""
        names = {side: self.list_images(self.data_prefix[side]) for side in SIDES if self.data_prefix.get(side)}
        if 'lq' not in names:
            raise DatasetError(f"data_prefix: 'lq' is missing, it has {list(self.data_prefix)}")
        pairs = self.pair(**names)
        listings = {side: self.look(side, files) for side, files in names.items()}
        self.check_sizes(pairs, listings)
        common = {'scale': self.scale, 'dataset': self.name}
        return [self.describe(pair, listings) | common for pair in pairs]

    def describe(self, pair: dict[str, str], listings: dict[str, Listing]) -> dict[str, Any]:
        """Where a pair's images are, and the shapes that raw pixels have."""
        paths = {f'{side}_path': fileio.join_path(self.data_prefix[side], file) for side, file in pair.items()}
        raw = {f'{side}_shape': listings[side].shapes[file] for side, file in pair.items() if listings[side].raw}
        return paths | raw

    def list_images(self, folder: str) -> list[str]:
        """Names of the images in a folder, or keys of those in an LMDB, sorted."""
        if folder.endswith('.lmdb'):
            listing = fileio.join_path(folder, 'meta_info.txt')
            if not fileio.exists(listing):
                raise DatasetError(f'{folder}: no LMDB of images, there is no {listing}')
            lines = fileio.get_text(listing).splitlines()
            return sorted(line.partition('.')[0] for line in lines)
        if not fileio.isdir(folder, self.backend_args):
            raise DatasetError(f'{folder}: no such folder')
        files = fileio.list_dir_or_file(folder, list_dir=False, backend_args=self.backend_args)
        images = sorted(file for file in files if file.lower().endswith(READABLE))
        if not images:
            raise DatasetError(f'{folder}: no images in it ({", ".join(READABLE)})')
        return images

    def look(self, side: str, names: list[str]) -> Listing:
        """Read the shapes of images, and check that each can be used; of those on a server nothing is known."""
        folder = Path(self.data_prefix[side])
        faults: dict[Path, str]
        if folder.suffix == '.lmdb':
            try:
                shapes, raw = read_shapes(folder)
                check_whole(folder, shapes, 'asid prepare div2k makes it')
            except LMDBError as error:
                raise DatasetError(str(error)) from error
            faults = {folder / key: fault for key, fault in find_faults(folder, shapes, names, raw).items()}
            grey = [folder / key for key in names if shapes[key][2] != 3]
        elif self.backend_args is None:
            headers, faults = check_files([folder / name for name in names])
            shapes, raw = {path.name: (header.height, header.width, 3) for path, header in headers.items()}, False
            grey = [] if self.test_mode else find_grey(headers)
        else:
            return Listing({})
        for path in grey:
            faults.setdefault(path, GREY)
        for path, fault in faults.items():
            more = f' (and {len(faults) - 1} more cannot be used)' if len(faults) > 1 else ''
            raise DatasetError(f'{path}: {fault}{more}')
        return Listing(shapes, raw)

    def check_sizes(self, pairs: list[dict[str, str]], listings: dict[str, Listing]) -> None:
        """Check that GT images have `scale` times the sides of their LQ images; in testing they may have a rest."""
        for pair in pairs:
            if all(pair.get(side) in listings[side].shapes for side in listings) and 'gt' in pair:
                gt, lq = (listings[side].shapes[pair[side]][:2] for side in ('gt', 'lq'))
                if not fits(gt, lq, self.scale, exact=not self.test_mode):
                    here, there = (fileio.join_path(self.data_prefix[side], pair[side]) for side in SIDES)
                    right = f'{lq[1] * self.scale}x{lq[0] * self.scale}, {self.scale} times {here}'
                    raise DatasetError(f'{there}: {gt[1]}x{gt[0]} pixels, right would be {right}')

    def pair(self, lq: list[str], gt: list[str] | None = None) -> list[dict[str, str]]:
        """Give every GT image its LQ image."""
        if gt is None:
            return [{'lq': file} for file in lq]
        pairs = [{'lq': self.lq_name(file), 'gt': file} for file in gt]
        alone = sorted({pair['lq'] for pair in pairs}.symmetric_difference(lq))
        if alone:
            where = ', '.join(self.data_prefix[side] for side in SIDES)
            raise DatasetError(f'{where}: {len(alone)} images are in one only, such as {alone[0]}')
        return pairs

    def lq_name(self, gt_name: str) -> str:
        """The name of the LQ image of a GT image."""
        path = PurePosixPath(gt_name)
        return f'{self.filename_tmpl.format(path.stem)}{path.suffix}'
