"""The command that makes a data set, by its missing folder."""

from itertools import pairwise
from pathlib import PurePath

UNKNOWN = 'asid prepare div2k or asid prepare photos makes training data'
"""Remedy for folders that no command writes to by default."""

BENCHMARK = 'docs/data.md (Benchmarks) names its source'
"""Remedy for folders of test images that no command makes."""

_WAYS = {
    'DIV2K': 'asid prepare div2k',
    'RealSR': 'asid prepare realsr',
    'degraded': 'asid prepare degraded SET --scale K',
    'demo': 'asid prepare demo',
}
_PHOTOS = 'asid prepare photos FOLDER'


def maker(root: PurePath) -> str | None:
    """Name the command that makes a folder or LMDB by its default name; None if there is none.

    >>> maker(PurePath('datasets/RealSR/GTmod3'))
    'asid prepare realsr makes it'
    """
    raw = ' --raw' if root.name.endswith('_raw.lmdb') else ''
    for folder, name in pairwise(root.parts):
        if folder == 'datasets' and name in _WAYS:
            return f'{_WAYS[name]}{raw} makes it'
        if folder == 'datasets' and name.startswith('photos'):
            return f'{_PHOTOS}{"" if name == "photos" else f" -o datasets/{name}"} makes it'
    if root.name.startswith('DIV2K_train_'):
        return f'{_WAYS["DIV2K"]}{raw} makes it'
    return f'{_PHOTOS} makes it' if root.name.startswith(('photos_HR_sub', 'photos_LR_')) else None
