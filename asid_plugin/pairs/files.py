"""Many image files checked at once."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from asid_plugin.images import READABLE, Header, ImageError

from .decoding import check_file

GREY = 'it is grey, among images that have colours; save it as RGB, or remove the pair'
THREADS = 8  # a file server answers several at once


def check_files(paths: Sequence[Path]) -> tuple[dict[Path, Header], dict[Path, str]]:
    """Check image files, with a progress bar where it takes long.

    Returns:
        The headers of those that can be used; and why the others cannot, in words that do not name the file.
    """
    headers, faults = {}, {}
    with ThreadPoolExecutor(THREADS) as executor:
        results = executor.map(_look, paths)
        bar = tqdm(results, total=len(paths), desc='checking', unit='file', leave=False, delay=2, disable=None)
        for path, found in zip(paths, bar, strict=True):
            if isinstance(found, Header):
                headers[path] = found
            else:
                faults[path] = found
    return headers, faults


def no_image(name: str) -> bool:
    """Whether a file's name is not an image's, such as Thumbs.db."""
    return Path(name).suffix.lower() not in READABLE


def find_grey(headers: dict[Path, Header]) -> list[Path]:
    """The grey images among those that have colours; none where all are grey."""
    grey = [path for path, header in headers.items() if header.channels in (1, 2)]
    return grey if len(grey) < len(headers) else []


def fits(gt: tuple[int, int], lq: tuple[int, int], scale: int, exact: bool) -> bool:
    """Whether two images' (height, width) are a pair's.

    Args:
        gt: Of the GT image.
        lq: Of the LQ image.
        scale: k.
        exact: GT is k times LQ, as training needs it; else it may have a rest, less than k, that is cut off.
    """
    rest = [large - scale * small for large, small in zip(gt, lq, strict=True)]
    return min(rest) >= 0 and max(rest) < (1 if exact else scale)


def _look(path: Path) -> Header | str:
    try:
        return check_file(path)
    except ImageError as error:
        return str(error).removeprefix(f'{path}: ')
    except OSError as error:
        return error.strerror or str(error)
