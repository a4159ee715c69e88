"""The tiles that the released figures come from, for everything that runs or describes a network by tiles."""

TILE, OVERLAP, TILE_BATCH = 64, 24, 16
"""Side and overlap of a tile, LR pixels, and how many tiles go through the network at once."""
