"""LMDBs of raw pixels, of which only the rows of a patch are read."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from asid_plugin.pairs import SampleError
from asid_plugin.pairs.lmdbs import NOT_THERE, raw_fault
from asid_plugin.pairs.meta_info import read_checksums, read_shapes
from asid_plugin.pairs.opening import open_shared

Pixels = NDArray[np.uint8]
"""(H, W, 3) BGR, possibly read-only."""


class RawPixels:
    """The images of an LMDB of raw pixels, which each worker opens for itself.

    Args:
        root: Its folder.

    Attributes:
        names: Its images, in the order of `meta_info.txt`.
        compared: Whether the checksum of each has been compared; shared by the workers of all epochs.

    Raises:
        LMDBError: `meta_info.txt` or the checksums cannot be read.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.shapes = read_shapes(root)[0]
        self.names = list(self.shapes)
        self.checksums = read_checksums(root, self.shapes)
        self._places = {name: place for place, name in enumerate(self.names)}
        self.compared = torch.zeros(len(self.names), dtype=torch.bool).share_memory_()
        self._environment: Any = None
        self._transaction: Any = None

    def __getitem__(self, name: str) -> Pixels:
        """An image, a view of the memory map; its checksum, if any, is compared at the first access.

        Raises:
            SampleError: The length differs from `meta_info.txt`, or the checksum is wrong.
        """
        if self._transaction is None:
            self._environment = open_shared(self.root, readonly=True, lock=False, readahead=False)
            self._transaction = self._environment.begin(buffers=True)
        value, shape, place = self._transaction.get(name.encode()), self.shapes[name], self._places[name]
        checksum = None if self.compared[place] else self.checksums.get(name)
        if fault := NOT_THERE if value is None else raw_fault(value, shape, checksum):
            raise SampleError(f'{self.root}: {name}: {fault}')
        self.compared[place] = True
        return np.frombuffer(value, np.uint8).reshape(shape)
