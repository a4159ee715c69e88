"""`python -m asid_plugin.upscale` is now `asid upscale`; the functions moved to `asid_plugin.inference`."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from asid_plugin.moved.forward import command, lookup, run, warn

if TYPE_CHECKING:
    from asid_plugin.inference import Upscaler

__getattr__ = lookup(
    'asid_plugin.upscale',
    'asid_plugin.inference',
    BACKENDS='asid_plugin.inference.upscaler:BACKENDS',
    DEFAULT_SCALE='asid_plugin.commands.upscale:DEFAULT_SCALE',
    Loaded='asid_plugin.inference.upscaler:Loaded',
    UsageError='asid_plugin.errors:UsageError',
    add_running_options='asid_plugin.commands.arguments:add_running_arguments',
    choose_weights='asid_plugin.commands.upscale:choose_weights',
    image_failures='asid_plugin.inference.upscaler:image_failures',
)
main = command('asid_plugin.upscale', 'upscale')


def plan(inputs: Sequence[Path], output: Path, ext: str = 'png') -> dict[Path, Path]:
    """The targets of `asid_plugin.inference.plan`, without its notes."""
    from asid_plugin import inference

    warn('asid_plugin.upscale.plan', 'asid_plugin.inference')
    return dict(inference.plan(inputs, output, ext).targets)


def load_upscaler(args: argparse.Namespace) -> 'Upscaler':
    """Call `asid_plugin.inference.load_upscaler` by the arguments of the command."""
    from asid_plugin import inference

    warn('asid_plugin.upscale.load_upscaler', 'asid_plugin.inference')
    running = args.tile, args.tile_overlap, args.backend, args.device, args.half
    return inference.load_upscaler(args.weights, args.scale, *running)


if __name__ == '__main__':
    run('asid_plugin.upscale', 'upscale')
