"""Which image files are taken, and which file is written for each."""

import mimetypes
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from asid_plugin.errors import UsageError
from asid_plugin.images import FORMATS, READABLE
from asid_plugin.images.left_out import LeftOut

_JPEG = ('.jfif', '.jpe')
"""Suffixes of JPEG that are read; .jpg is written for them."""


@dataclass(frozen=True)
class Plan:
    """The files that are to be written.

    Attributes:
        targets: The file that is written for each input file.
        notes: A line on each folder of which something is left out, and on names that had to change.
    """

    targets: Mapping[Path, Path]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class _Source:
    """An input file: its path, the folder inside OUT that it goes to, and the name of the folder that it came from."""

    path: Path
    place: Path
    origin: str


def plan(inputs: Sequence[Path], output: Path, ext: str = 'png', suffix: str = '', recursive: bool = False) -> Plan:
    """Say which file is to be written for each input file.

    Images of a folder that would share a name keep their suffixes in it, such as grey_jpg.png and
    grey_png.png, or by the names of the folders that they come from.

    Args:
        inputs: Files, and folders whose images are meant.
        output: A file if the input is one file and this has an image's suffix, else a folder.
        ext: Suffix of the files in a folder, without the dot, or 'keep' for each input's own.
        suffix: Put behind each name, before the extension.
        recursive: Take the folders inside folders too, except for `output`, and write to folders of the same names.

    Raises:
        UsageError: There is no input, an output is an input, or `output` is a file of another kind.
    """
    if any(sign in suffix for sign in '/\\\0'):
        raise UsageError(f'--suffix {suffix}: is put behind names and cannot have a slash')
    notes: list[str] = []
    found: dict[Path, _Source] = {}
    for path in inputs:
        for source in _sources(path, output, suffix, recursive, notes):
            found.setdefault(source.path.absolute(), source)
    sources = list(found.values())
    ending = output.suffix.lower()
    one = len(inputs) == 1 and not inputs[0].is_dir()
    if output.exists() and not output.is_dir() and ending not in FORMATS:
        raise UsageError(f'{output} is there and is no folder; OUT is a folder, or ends in one of {", ".join(FORMATS)}')
    if output.is_dir() or not (ending in FORMATS or (one and _is_picture(output))):
        notes.extend(_renamed(sources, ext))
        targets = {source.path: output / name for source, name in _names(sources, ext, suffix).items()}
    elif ending not in FORMATS:
        raise UsageError(f'{output}: {ending} is not written, only {", ".join(FORMATS)}')
    elif not one:
        raise UsageError(f'{output} names one image; for a folder, or several images, OUT is a folder')
    elif suffix:
        raise UsageError(f'--suffix {suffix}: OUT is a file, {output}; a suffix is for names in a folder')
    else:
        targets = {sources[0].path: output}

    inodes = {_inode(source) for source in targets}
    for target in targets.values():
        if target.exists() and _inode(target) in inodes:
            raise UsageError(f'{target} is an input and would be overwritten; choose another OUT, or a --suffix')
    return Plan(targets, notes)


def _sources(path: Path, output: Path, suffix: str, recursive: bool, notes: list[str]) -> list[_Source]:
    """The input files of one INPUT."""
    if not path.exists():
        raise UsageError(f'{path}: no such file or folder')
    if not path.is_dir():
        return [_Source(path, Path(), path.absolute().parent.name)]
    out = _inode(output) if output.is_dir() else None
    if out == _inode(path) and not suffix:
        raise UsageError(
            f'{output} is INPUT too: the next time, results would be taken for inputs; give --suffix, such as _x2, or '
            'another OUT'
        )
    left = LeftOut(' (--recursive takes {})')
    written = suffix if out == _inode(path) else ''
    files = _images(path, recursive, lambda folder: _inode(folder) == out, written, left)
    counts = str(left)
    if not files:
        found = f'; it has {counts}' if counts else ''
        raise UsageError(f'{path}: no images in this folder (looked for {", ".join(READABLE)}){found}')
    if counts:
        notes.append(f'{path}: left out {counts}')
    return [_Source(file, file.parent.relative_to(path), path.resolve().name) for file in files]


def _images(
    folder: Path, recursive: bool, is_output: Callable[[Path], bool], written: str, left: LeftOut
) -> Iterable[Path]:
    """The images of a folder in the order of their names; `left` counts the others.

    Args:
        folder: The folder.
        recursive: Enter folders, but no links, which may form a circle.
        is_output: Of a folder, whether it is OUT, which is passed over.
        written: Names that end so before the extension are earlier outputs.
        left: Is added to.
    """
    images: list[Path] = []
    for path in sorted(folder.iterdir()):
        hidden = path.name.startswith('.')
        if path.is_dir():
            if is_output(path):
                continue
            if hidden or (recursive and path.is_symlink()):
                left.folders['hidden folder' if hidden else 'linked folder'] += 1
            elif recursive:
                try:
                    images.extend(_images(path, recursive, is_output, written, left))
                except OSError:
                    left.folders['unreadable folder'] += 1
            else:
                left.folders['folder'] += 1
        elif not left.takes(path):
            continue
        elif written and path.stem.endswith(written):
            left.files[f'ending in {written}'] += 1
        else:
            images.append(path)
    return images


def _is_picture(path: Path) -> bool:
    return (mimetypes.guess_type(path.name)[0] or '').startswith('image/')


def _names(sources: Sequence[_Source], ext: str, suffix: str) -> dict[_Source, Path]:
    """Names inside OUT, all different, also where case does not matter."""

    def name(source: _Source, marks: Sequence[str]) -> Path:
        stem, extension = _split(source.path, ext)
        return source.place / f'{"_".join([stem, *filter(None, marks)])}{suffix}{extension}'

    names = {source: name(source, ()) for source in sources}
    for marks in _MARKS:
        for group in _clashes(names):
            marked = {source: name(source, marks(source)) for source in group}
            if not _clashes(marked):
                names.update(marked)
    for group in _clashes(names):
        names.update((source, name(source, _MARKS[-1](source))) for source in group)
    for group in _clashes(names):
        taken = {_key(path) for path in names.values()}
        for source in group:
            numbered = (name(source, (*_MARKS[-1](source), str(number))) for number in count(1))
            names[source] = next(path for path in numbered if _key(path) not in taken)
            taken.add(_key(names[source]))
    return names


_MARKS: Sequence[Callable[[_Source], tuple[str, ...]]] = (
    lambda source: (source.path.suffix[1:],),
    lambda source: (source.origin,),
    lambda source: (source.path.suffix[1:], source.origin),
)
"""Put behind the names of images that would share one: the first of these that tells them apart, else a number too."""


def _clashes(names: Mapping[_Source, Path]) -> list[list[_Source]]:
    groups: dict[str, list[_Source]] = {}
    for source, path in names.items():
        groups.setdefault(_key(path), []).append(source)
    return [group for group in groups.values() if len(group) > 1]


def _key(name: Path) -> str:
    """The same for names that are one file where case, or the way an accent is written, does not matter."""
    return unicodedata.normalize('NFC', str(name)).casefold()


def _split(path: Path, ext: str) -> tuple[str, str]:
    """Stem and extension of the file that is written for an image in a folder."""
    own = path.suffix.lower()
    if own not in READABLE:
        return path.name, '.png' if ext == 'keep' else f'.{ext}'
    if ext != 'keep':
        return path.stem, f'.{ext}'
    return path.stem, path.suffix if own in FORMATS else '.jpg' if own in _JPEG else '.png'


def _renamed(sources: Iterable[_Source], ext: str) -> list[str]:
    """A note on inputs whose own format is not written, though it is to be kept."""
    own = (source.path.suffix.lower() for source in sources)
    counts = Counter(suffix for suffix in own if suffix not in FORMATS and suffix not in _JPEG and suffix != '.apng')
    if ext != 'keep' or not counts:
        return []
    kinds = ', '.join(f'{n} {kind or "without a suffix"}' for kind, n in sorted(counts.items()))
    return [f'--ext keep: written as PNG, as their own format is not written: {kinds}']


def _inode(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_dev, stat.st_ino
