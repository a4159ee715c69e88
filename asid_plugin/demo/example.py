"""The example picture; pictures/README.md names its source."""

from pathlib import Path

EXAMPLE = Path(__file__).with_name('pictures') / 'budgie.webp'
