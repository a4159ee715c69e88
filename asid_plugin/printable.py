"""Text from outside that a terminal may be shown."""

from unicodedata import category


def printable(text: object) -> str:
    r"""Write an object as one line of text, with escapes for characters that a terminal would obey or hide.

    Names of files and keys of checkpoints may hold line breaks, terminal escapes, marks that turn the direction of
    writing, and, where a name is no UTF-8, halves of characters. These come out as Python writes them: `\x1b`.
    """
    text = str(text)
    if text.isprintable():  # which is known at once, of megabytes too
        return text
    return ''.join(_ESCAPED.get(category(c), str)(c) for c in text)


def _escape(character: str) -> str:
    return character.encode('unicode_escape').decode('ascii')


_ESCAPED = dict.fromkeys(('Cc', 'Cf', 'Cs', 'Zl', 'Zp'), _escape)
"""By Unicode's categories: control, format, surrogate, and separators of lines and paragraphs."""
