"""Notes on colours that a file describes by numbers instead of a profile; they are not converted.

Source of the numbers: Coding-independent code points for video signal type identification, ITU-T H.273.
"""

from collections.abc import Sequence

_PRIMARIES = {1: 'BT.709', 5: 'BT.601', 6: 'BT.601', 7: 'BT.601', 9: 'BT.2020', 11: 'DCI P3', 12: 'Display P3'}
_TRANSFERS = {8: 'linear light', 16: 'PQ (HDR)', 18: 'HLG (HDR)'}
_PLAIN_PRIMARIES = (1, 2)  # sRGB, and unspecified
_PLAIN_TRANSFERS = (1, 2, 6, 13)  # those of video, which programs show as they show sRGB's; 2 is unspecified
# White, red, green, and blue, x and y of each.
_BT709 = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
_NEAR = 0.005


def code_points_notes(primaries: int, transfer: int) -> tuple[str, ...]:
    """A note if these code points do not mean sRGB."""
    if primaries in _PLAIN_PRIMARIES and transfer in _PLAIN_TRANSFERS:
        return ()
    names = [] if primaries in _PLAIN_PRIMARIES else [_PRIMARIES.get(primaries, f'primaries {primaries}')]
    if transfer not in _PLAIN_TRANSFERS:
        names.append(_TRANSFERS.get(transfer, f'transfer function {transfer}'))
    return (f'colours of {" in ".join(names)} are not converted',)


def chromaticity_notes(chromaticities: Sequence[float]) -> tuple[str, ...]:
    """A note if white and primaries, x and y of each, differ from sRGB."""
    if all(abs(value - plain) < _NEAR for value, plain in zip(chromaticities, _BT709, strict=True)):
        return ()
    return ('colours with other primaries than sRGB are not converted',)
