"""Describe the files of a folder that are not images."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from .formats import READABLE


@dataclass
class LeftOut:
    """Counts the contents of a folder that are not images.

    Attributes:
        hint: Appended to the number of folders, with 'it' or 'them' in place of {}.
        files: Numbers by kind.
        folders: Numbers by kind.
    """

    hint: str = ''
    files: Counter[str] = field(default_factory=Counter)
    folders: Counter[str] = field(default_factory=Counter)

    def takes(self, path: Path) -> bool:
        """Whether a file is an image by its name; other files are counted."""
        if path.name.startswith('.'):
            self.files['hidden'] += 1
        elif not path.is_file():
            self.files['broken or special'] += 1  # a link to nothing, a socket
        elif path.suffix.lower() not in READABLE:
            self.files[path.suffix.lower() or 'without a suffix'] += 1
        else:
            return True
        return False

    def __str__(self) -> str:
        parts = []
        if number := self.files.total():
            listed = sorted(self.files.items(), key=lambda item: (-item[1], item[0]))
            parts.append(f'{number} file{"s" * (number > 1)} ({", ".join(f"{n} {kind}" for kind, n in listed)})')
        for kind, number in sorted(self.folders.items()):
            hint = self.hint.format('it' if number == 1 else 'them') if kind == 'folder' else ''
            parts.append(f'{number} {kind}{"s" * (number > 1)}{hint}')
        return ', '.join(parts)
