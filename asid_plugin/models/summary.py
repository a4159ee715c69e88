"""Summarise a run in a few lines, for its log."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from asid_plugin.options.problems import mapping
from asid_plugin.version import __version__


def summary(opt: Mapping[str, Any], net: nn.Module) -> list[str]:
    """The network, its weights, and for a training the data, the length and the folder of results.

    Args:
        opt: Options of BasicSR, checked.
        net: `network_g`.
    """
    params = sum(weights.numel() for weights in net.parameters())
    verb = 'trains' if opt['is_train'] else 'tests'
    weights = opt['path'].get('pretrain_network_g') or 'random weights'
    network = f'{opt["network_g"]["type"]} x{opt["scale"]}, {params:,} parameters, from {weights}'
    results = opt['path'].get('experiments_root' if opt['is_train'] else 'results_root')
    return [
        f'asid_plugin {__version__} {verb} {network}',
        *_training(opt),
        *([f'results, and a log with all options and the network: {results}'] if results else ()),
    ]


def _training(opt: Mapping[str, Any]) -> Iterator[str]:
    """The data, length and validation of a training."""
    data, loaders = mapping(opt, 'datasets'), opt['world_size'] if opt['dist'] else max(1, opt['num_gpu'])
    train = mapping(data, 'train')
    if train:
        side, batch = train.get('gt_size', 0) // opt['scale'], train['batch_size_per_gpu'] * loaders
        yield f'on {train["name"]}: {opt["train"]["total_iter"]:,} iterations of {batch} LR patches of {side}x{side}'
    sets = [options['name'] for phase, options in data.items() if phase.partition('_')[0] == 'val']
    if sets and opt.get('val') is not None:
        yield f'validated on {", ".join(sets)} every {opt["val"]["val_freq"]:,} iterations'
