"""Escape untrusted text for a terminal."""

from unicodedata import category


def printable(text: object) -> str:
    r"""Write an object as one line of text, with escapes for control and invisible characters.

    Names of files and keys of checkpoints may contain line breaks, terminal escapes, marks that change the direction of
    writing, and, if a name is not UTF-8, partial characters. These are written in Python's form: `\x1b`.
    """
    text = str(text)
    if text.isprintable():  # a fast check, also for megabytes
        return text
    return ''.join(_ESCAPED.get(category(c), str)(c) for c in text)


def _escape(character: str) -> str:
    return character.encode('unicode_escape').decode('ascii')


_ESCAPED = dict.fromkeys(('Cc', 'Cf', 'Cs', 'Zl', 'Zp'), _escape)
"""Escaped categories of Unicode: control, format, surrogate, and separators of lines and paragraphs."""
