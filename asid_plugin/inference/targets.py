"""Choose the input files, and the output file for each."""

import re
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
"""Suffixes of JPEG for reading; .jpg is written for them."""


@dataclass(frozen=True)
class Plan:
    """The files to write.

    Attributes:
        targets: The file that is written for each input file.
        notes: A line on each folder with skipped files, and on changed names.
    """

    targets: Mapping[Path, Path]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class _Source:
    """An input file: its path, its folder inside OUT, and the name of its source folder."""

    path: Path
    place: Path
    origin: str


def plan(inputs: Sequence[Path], output: Path, ext: str = 'png', suffix: str = '', recursive: bool = False) -> Plan:
    """Choose the output file for each input file.

    Outputs that would share a name include the suffix of the input, such as grey_jpg.png and grey_png.png, or the
    name of their source folder.

    Args:
        inputs: Files, and folders of images.
        output: A file, if there is one input file and this has the suffix of an image, else a folder. For one input
            file, a new folder may not end like a file, such as x.pgn: that may be a mistyped suffix.
        ext: Suffix of the files in a folder, without the dot, or 'keep' for the suffix of each input.
        suffix: Appended to each name, before the extension.
        recursive: Include subfolders, except for `output`, and write to subfolders with the same names.

    Raises:
        UsageError: There is no input, an output is an input, or `output` is or names a file of another kind.
    """
    if any(sign in suffix for sign in '/\\\0'):
        raise UsageError(f'--suffix {suffix}: is appended to names and cannot contain a slash')
    notes: list[str] = []
    found: dict[Path, _Source] = {}
    for path in inputs:
        for source in _sources(path, output, suffix, recursive, notes):
            found.setdefault(source.path.absolute(), source)
    sources = list(found.values())
    ending = output.suffix.lower()
    one = len(inputs) == 1 and not inputs[0].is_dir()
    if output.exists() and not output.is_dir() and ending not in FORMATS:
        raise UsageError(f'{output} exists and is not a folder; OUT must be a folder, or end in {", ".join(FORMATS)}')
    if output.is_dir() or not (ending in FORMATS or (one and _is_file_name(output))):
        notes.extend(_renamed(sources, ext))
        targets = {source.path: output / name for source, name in _names(sources, ext, suffix).items()}
    elif ending not in FORMATS:
        raise UsageError(
            f'{output}: {ending} cannot be written, only {", ".join(FORMATS)}; if it is a folder, create it first'
        )
    elif not one:
        raise UsageError(f'{output} names one image, but a folder or several images need a folder as OUT')
    elif suffix:
        raise UsageError(f'--suffix {suffix}: only for names in a folder, but OUT is the file {output}')
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
            f'{output} is also INPUT, so the next run would enlarge the results; give --suffix, such as _x2, or '
            'another OUT'
        )
    left = LeftOut(' (--recursive includes {})')
    written = suffix if out == _inode(path) else ''
    files = _images(path, recursive, lambda folder: _inode(folder) == out, written, left)
    counts = str(left)
    if not files:
        found = f'; found {counts}' if counts else ''
        raise UsageError(f'{path}: no images in this folder (looked for {", ".join(READABLE)}){found}')
    if counts:
        notes.append(f'{path}: skipped {counts}')
    return [_Source(file, file.parent.relative_to(path), path.resolve().name) for file in files]


def _images(
    folder: Path, recursive: bool, is_output: Callable[[Path], bool], written: str, left: LeftOut
) -> Iterable[Path]:
    """The images of a folder, sorted by name; `left` counts other files.

    Args:
        folder: The folder.
        recursive: Enter subfolders, but no links, which may form a cycle.
        is_output: Whether a folder is OUT, which is skipped.
        written: Suffix of the names of earlier outputs.
        left: Counter of other files.
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


def _is_file_name(path: Path) -> bool:
    """Whether a path ends like a file's: in a dot and three or four letters or digits, the first one a letter."""
    return re.fullmatch(r'\.[a-z][a-z0-9]{2,3}', path.suffix.lower()) is not None


def _names(sources: Sequence[_Source], ext: str, suffix: str) -> dict[_Source, Path]:
    """Distinct names inside OUT, also if case is ignored."""

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
"""Extensions for equal names: the first one that distinguishes them, else a number too."""


def _clashes(names: Mapping[_Source, Path]) -> list[list[_Source]]:
    groups: dict[str, list[_Source]] = {}
    for source, path in names.items():
        groups.setdefault(_key(path), []).append(source)
    return [group for group in groups.values() if len(group) > 1]


def _key(name: Path) -> str:
    """A normal form: equal for names that differ only in case or in the coding of accents."""
    return unicodedata.normalize('NFC', str(name)).casefold()


def _split(path: Path, ext: str) -> tuple[str, str]:
    """Stem and extension of the output file for an image in a folder."""
    own = path.suffix.lower()
    if own not in READABLE:
        return path.name, '.png' if ext == 'keep' else f'.{ext}'
    if ext != 'keep':
        return path.stem, f'.{ext}'
    return path.stem, path.suffix if own in FORMATS else '.jpg' if own in _JPEG else '.png'


def _renamed(sources: Iterable[_Source], ext: str) -> list[str]:
    """A note on inputs with a format that cannot be written, for `keep`."""
    own = (source.path.suffix.lower() for source in sources)
    counts = Counter(suffix for suffix in own if suffix not in FORMATS and suffix not in _JPEG and suffix != '.apng')
    if ext != 'keep' or not counts:
        return []
    kinds = ', '.join(f'{n} {kind or "without a suffix"}' for kind, n in sorted(counts.items()))
    return [f'--ext keep: written as PNG, because these formats cannot be written: {kinds}']


def _inode(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_dev, stat.st_ino
