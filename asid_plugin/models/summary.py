"""A run in a few lines, for its log."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from asid_plugin.version import __version__


def summary(opt: Mapping[str, Any], net: nn.Module) -> list[str]:
    """The network, its weights, and of a training the data, the length and the folder of the results.

    Args:
        opt: Options of BasicSR, checked.
        net: `network_g`.
    """
    params = sum(weights.numel() for weights in net.parameters())
    weights = opt['path'].get('pretrain_network_g') or 'random weights'
    network = f'{opt["network_g"]["type"]} x{opt["scale"]}, {params:,} parameters'
    if not opt['is_train']:
        return [f'asid_plugin {__version__} tests {network}, from {weights}; results: {opt["path"]["results_root"]}']
    train, batch = opt['datasets']['train'], opt['datasets']['train']['batch_size_per_gpu']
    loaders = opt['world_size'] if opt['dist'] else max(1, opt['num_gpu'])
    side = train['gt_size'] // opt['scale']
    patches = f'{batch * loaders} LR patches of {side}x{side}'
    lines = [
        f'asid_plugin {__version__} trains {network}, from {weights}',
        f'on {train["name"]}: {opt["train"]["total_iter"]:,} iterations of {patches}',
    ]
    sets = [options['name'] for phase, options in opt['datasets'].items() if phase.partition('_')[0] == 'val']
    if opt.get('val') is not None and sets:
        lines.append(f'validated on {", ".join(sets)} every {opt["val"]["val_freq"]:,} iterations')
    return [*lines, f'results, and a log with all options and the network: {opt["path"]["experiments_root"]}']
