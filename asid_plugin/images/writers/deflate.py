"""Deflate, as PNG and TIFF use it, by a strategy that suits the data."""

import zlib

_SAMPLE = 2**14
# Differences of a photograph's pixels repeat only by chance: with runs alone it gets smaller than at level 6, and ten
# times as fast. Drawings and text repeat.
_WAYS = ((1, zlib.Z_RLE), (4, zlib.Z_DEFAULT_STRATEGY))


def deflate(data: bytes, last: bool = True, raw: bool = False) -> bytes:
    """Compress data.

    Args:
        data: Bytes of some hundred thousand pixels, filtered or differenced.
        last: The stream ends with these data; else it ends at a whole byte, so that another may be put behind.
        raw: Leave out zlib's header and check sum.
    """
    start = max(0, (len(data) - _SAMPLE) // 2)
    sample = data[start : start + _SAMPLE]
    level, strategy = min(_WAYS, key=lambda way: len(_deflate(sample, way[0], way[1], True, True)))
    return _deflate(data, level, strategy, last, raw)


def _deflate(data: bytes, level: int, strategy: int, last: bool, raw: bool) -> bytes:
    stream = zlib.compressobj(level, zlib.DEFLATED, -15 if raw else 15, 9, strategy)
    return stream.compress(data) + stream.flush(zlib.Z_FINISH if last else zlib.Z_FULL_FLUSH)
