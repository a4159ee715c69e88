"""The picture that may be tried without one of one's own; pictures/README.md tells where it comes from."""

from pathlib import Path

EXAMPLE = Path(__file__).with_name('pictures') / 'budgie.webp'
