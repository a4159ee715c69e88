"""Check many image files at once."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from asid_plugin.images import READABLE, Header, ImageError

from .decoding import check_file

GREY = 'it is grey, but other images have colours; save it as RGB, or remove the pair'
THREADS = 8  # a file server answers several requests at once


def check_files(paths: Sequence[Path]) -> tuple[dict[Path, Header], dict[Path, str]]:
    """Check image files, with a progress bar if it takes long.

    Returns:
        The headers of usable files, and the reasons for the others, without the names of the files.
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
    """Whether the name does not belong to an image, such as Thumbs.db."""
    return Path(name).suffix.lower() not in READABLE


def find_grey(headers: dict[Path, Header]) -> list[Path]:
    """The grey images among colour images; empty if all are grey."""
    grey = [path for path, header in headers.items() if header.channels in (1, 2)]
    return grey if len(grey) < len(headers) else []


def fits(gt: tuple[int, int], lq: tuple[int, int], scale: int, exact: bool) -> bool:
    """Whether the sizes (height, width) of two images fit each other.

    Args:
        gt: Size of the GT image.
        lq: Size of the LQ image.
        scale: k.
        exact: GT must be k times LQ, as for training; else it may have up to k - 1 more pixels, which are cropped.
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
