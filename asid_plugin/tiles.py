"""Default settings for running networks on images."""

TILE, OVERLAP, TILE_BATCH = 64, 24, 16
"""Side and overlap of a tile in LR pixels, and tiles in a batch, as for the released figures."""

BORDERS = ('flush', 'zeros')
"""Handling of images that are not whole windows: tiles of whole windows flush with the border, which is better, or
zeros beyond it, as in the paper."""
