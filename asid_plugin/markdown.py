"""Tables in Markdown."""

import re
from collections.abc import Iterable, Sequence

from .printable import printable


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown, with padded columns, so that it is also readable in a terminal."""
    cells = [list(map(printable, row)) for row in (header, *rows)]
    widths = [max(3, *(len(cell) for cell in column)) for column in zip(*cells, strict=True)]
    lines = ['| ' + ' | '.join(map(str.ljust, row, widths)) + ' |' for row in cells]
    lines.insert(1, '|' + '|'.join('-' * (width + 2) for width in widths) + '|')
    return '\n'.join(lines)


def text(name: object) -> str:
    """Escape an untrusted text for Markdown: no column, link, picture or HTML."""
    return re.sub(r'(\\*)([|<\[])', r'\1\1\\\2', printable(name))
