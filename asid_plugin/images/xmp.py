"""Edit attributes and elements in an XMP packet, in time linear in its length for any content."""

import re
from collections.abc import Callable


def without(xmp: bytes, names: bytes) -> bytes:
    """Remove attributes and elements.

    Args:
        xmp: The packet, in UTF-8.
        names: A regular expression of their names, with the prefix.
    """
    xmp = re.sub(rb'\s(?:%b)\s*=\s*(?:"[^"]*"|\'[^\']*\')' % names, b'', xmp)
    return replace_elements(xmp, names, lambda _: b'')


def replace_elements(xmp: bytes, names: bytes, new: Callable[[bytes], bytes]) -> bytes:
    """Replace elements; unclosed ones are unchanged.

    Args:
        xmp: The packet, in UTF-8.
        names: A regular expression of their names, with the prefix.
        new: The new element for an old one, from its tag to its closing tag.
    """
    parts, at = [], 0
    begun: re.Match[bytes] | None = None
    for tag in re.finditer(rb'<(/?)(%b)(?=[\s/>])[^<>]*>' % names, xmp):
        if begun is None and not tag[1]:
            begun = tag
        if begun is not None and (begun[0].endswith(b'/>') or (tag[1] and tag[2] == begun[2])):
            parts += [xmp[at : begun.start()], new(xmp[begun.start() : tag.end()])]
            at, begun = tag.end(), None
    return b''.join([*parts, xmp[at:]])
