"""Fill colours under full transparency, and enlarge opacity."""

from dataclasses import replace

import cv2
import numpy as np

from .image import Image, Pixels


def fill_hidden(image: Image) -> Image:
    """Give each invisible pixel the colour of the nearest visible one.

    Programs write any colour, mostly black, where alpha is 0; filters and networks would mix it into the edges.
    """
    if not image.has_alpha:
        return image
    hidden = image.pixels[..., -1] == 0
    if not hidden.any() or hidden.all():
        return image
    # the distance to the nearest zero, and its label: here, the label of the nearest visible pixel
    _, labels = cv2.distanceTransformWithLabels(
        hidden.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    seen = ~hidden
    colour_of = np.zeros((labels.max() + 1, image.channels - 1), image.pixels.dtype)
    colour_of[labels[seen]] = image.pixels[seen][:, :-1]
    pixels = image.pixels.copy()
    pixels[hidden, :-1] = colour_of[labels[hidden]]
    return replace(image, pixels=pixels)


def enlarge_alpha(image: Image, scale: int) -> Pixels:
    """Enlarge opacity by bicubic interpolation, (scale * height, scale * width)."""
    alpha = image.pixels[..., -1]
    size = (scale * image.width, scale * image.height)
    return cv2.resize(np.ascontiguousarray(alpha), size, interpolation=cv2.INTER_CUBIC)


def over_white(pixels: Pixels) -> Pixels:
    """Composite pixels with alpha over white; the result has one channel less."""
    top = np.iinfo(pixels.dtype).max
    alpha = pixels[..., -1:].astype(np.float32) / top
    return np.rint(pixels[..., :-1] * alpha + top * (1 - alpha)).astype(pixels.dtype)
