"""Deflate for PNG and TIFF, with a strategy that suits the data."""

import zlib

_SAMPLE = 2**14
# Differences of pixels of photographs repeat only by chance: run-length coding is smaller than level 6, and ten times
# as fast. Drawings and text repeat.
_WAYS = ((1, zlib.Z_RLE), (4, zlib.Z_DEFAULT_STRATEGY))


def deflate(data: bytes, last: bool = True, raw: bool = False) -> bytes:
    """Compress data.

    Args:
        data: Bytes of about a hundred thousand pixels, filtered or differenced.
        last: End the stream; else align it to a byte, so that another part can follow.
        raw: Omit zlib's header and checksum.
    """
    start = max(0, (len(data) - _SAMPLE) // 2)
    sample = data[start : start + _SAMPLE]
    level, strategy = min(_WAYS, key=lambda way: len(_deflate(sample, way[0], way[1], True, True)))
    return _deflate(data, level, strategy, last, raw)


def _deflate(data: bytes, level: int, strategy: int, last: bool, raw: bool) -> bytes:
    stream = zlib.compressobj(level, zlib.DEFLATED, -15 if raw else 15, 9, strategy)
    return stream.compress(data) + stream.flush(zlib.Z_FINISH if last else zlib.Z_FULL_FLUSH)
