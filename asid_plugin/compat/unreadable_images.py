"""Let errors name images that BasicSR's data sets cannot read."""

import functools
from typing import Any

from .patching import classes_of

DATASETS = (
    'paired_image_dataset.PairedImageDataset',
    'realesrgan_paired_dataset.RealESRGANPairedDataset',
    'realesrgan_dataset.RealESRGANDataset',
)
"""Data sets of BasicSR by module and class."""


def images_without_a_name() -> None:
    """Name the image that a data set cannot read; all versions of BasicSR name only a Python type.

    Their error for a truncated PNG is "'NoneType' object has no attribute 'astype'". For a missing file,
    `RealESRGANDataset` even takes another one at random, with a line in the log.
    """
    for dataset in classes_of('basicsr.data', DATASETS):
        dataset.__getitem__ = _with_names(dataset.__getitem__)


class NamingClient:
    """A `FileClient` of BasicSR with the file in its errors, which `RealESRGANDataset` does not catch.

    Args:
        client: The `FileClient`.
    """

    def __init__(self, client: Any) -> None:
        self.client = client

    def get(self, path: str, key: str) -> Any:
        """The bytes of a file or of a key in an LMDB; None if there is no such key.

        Raises:
            SampleError: The file cannot be read.
        """
        from asid_plugin.pairs import SampleError

        try:
            return self.client.get(path, key)
        except OSError as error:
            raise SampleError(f'{path}: {error.strerror}') from error


def _with_names(original: Any) -> Any:
    @functools.wraps(original)
    def getitem(self: Any, index: int) -> Any:
        if self.file_client is None:
            from basicsr.utils import FileClient

            backend = dict(self.io_backend_opt)
            self.file_client = NamingClient(FileClient(backend.pop('type'), **backend))
        try:
            return original(self, index)
        except Exception:
            _raise_if_undecodable(self, index)
            raise

    return getitem


def _raise_if_undecodable(dataset: Any, index: int) -> None:
    """Raise a SampleError for the first unreadable image of a sample, if any."""
    from asid_plugin.pairs import decode

    paths = dataset.paths[index]
    files = {'gt': paths} if isinstance(paths, str) else {key: paths[f'{key}_path'] for key in ('gt', 'lq')}
    for key, path in files.items():
        in_lmdb = dataset.io_backend_opt.get('db_paths')
        name = f'{dataset.opt[f"dataroot_{key}"]}: {path}' if in_lmdb else path
        decode(dataset.file_client.get(path, key), name)
