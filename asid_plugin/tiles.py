"""How networks are run on images, for everything that runs or describes them."""

TILE, OVERLAP, TILE_BATCH = 64, 24, 16
"""Side and overlap of a tile, LR pixels, and how many tiles go through the network at once: the released figures'."""

BORDERS = ('flush', 'zeros')
"""The treatment of an image that is not whole windows: tiles of whole windows that are flush with the border, which is
better, or zeros beyond it, which is the paper's protocol."""
