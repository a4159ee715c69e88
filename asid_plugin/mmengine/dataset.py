"""Pairs of LQ and GT images in folders or LMDBs."""

from pathlib import PurePosixPath
from typing import Any

from mmengine import fileio
from mmengine.dataset import BaseDataset

from asid_plugin.errors import ASIDError
from asid_plugin.inference.images import FORMATS
from asid_plugin.mmengine.registry import DATASETS

SIDES = ('lq', 'gt')


class DatasetError(ASIDError):
    """A data set that cannot be used; the message is one line that says where and why."""


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
        DatasetError: A folder is missing or without images, or the two do not go together.
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
        """Each pair's `lq_path` and `gt_path`, sorted; in an LMDB, `folder.lmdb/key`."""
        names = {side: self.list_images(self.data_prefix[side]) for side in SIDES if self.data_prefix.get(side)}
        if 'lq' not in names:
            raise DatasetError(f"data_prefix: 'lq' is missing, it has {list(self.data_prefix)}")
        pairs = self.pair(**names)
        common = {'scale': self.scale, 'dataset': self.name}
        return [
            {f'{side}_path': fileio.join_path(self.data_prefix[side], file) for side, file in pair.items()} | common
            for pair in pairs
        ]

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
        images = sorted(file for file in files if file.lower().endswith(tuple(FORMATS)))
        if not images:
            raise DatasetError(f'{folder}: no images in it ({", ".join(FORMATS)})')
        return images

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
