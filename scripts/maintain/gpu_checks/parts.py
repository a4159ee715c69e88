"""The parts, in the order in which they run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from .setup import Setup, Tables


@dataclass(frozen=True)
class Part:
    """A part of the check.

    Attributes:
        title: In the report and in --help.
        function: 'module:function' of this package, which takes a `Setup` and yields tables.
        minutes: Its share of 20.
        packages: Modules without which it is skipped, besides torch, numpy and tqdm.
        optional: Modules without which some of its rows are left out.
    """

    title: str
    function: str
    minutes: float
    packages: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    def run(self, setup: Setup) -> Tables:
        """Measure; yields tables as they are ready."""
        module, _, name = self.function.partition(':')
        function: Callable[[Setup], Any] = getattr(import_module(f'{__package__}.{module}'), name)
        return function(setup)


IMAGES = ('cv2', 'imagecodecs', 'PIL', 'safetensors', 'tifffile')
"""Packages that read and write images."""
PARTS: Mapping[str, Part] = {
    'tests': Part('Tests marked gpu', 'suite:run', 4, ('pytest',), ('basicsr', 'mmengine')),
    'forward': Part('Forward pass', 'networks:forward_pass', 4, (), ('basicsr',)),
    'training': Part('Training step', 'networks:training', 4, (), ('basicsr',)),
    'data': Part('Data loading', 'data:run', 1, ('basicsr', 'lmdb', 'skimage', *IMAGES)),
    'profile': Part('Where the time of a forward pass goes', 'networks:profile', 0.5),
    'operators': Part('Depthwise convolution and LayerNorm in both layouts', 'operators:run', 2),
    'synchronisations': Part('Synchronisations of five training steps', 'steps:synchronisations', 1, (), ('basicsr',)),
    'upscale': Part("Pictures, against the CPU's", 'images:upscale', 1, IMAGES),
    'large': Part('A large picture whole', 'images:large', 0.5),
    'memory': Part('Out of memory, answered by a sentence', 'images:out_of_memory', 0.5, IMAGES),
    'iterations': Part('3.2 million iterations', 'steps:iterations', 1.5, (), ('basicsr',)),
}
