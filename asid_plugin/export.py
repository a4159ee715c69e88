"""`torch.export` of a network for images of any size."""

import torch
from torch import nn
from torch.export import Dim, ExportedProgram
from torch.fx.experimental import _config


def export_any_size(net: nn.Module, num_in_ch: int = 3, max_batch: int = 256, max_side: int = 8192) -> ExportedProgram:
    """Export with batch, height and width dynamic, padding and cropping inside the graph.

    Plain `torch.export.export` takes sizes apart that are 1 or fit the padding exactly; here they are one case. That
    needs torch 2.9 or later.

    Args:
        net: An ASID in eval mode.
        num_in_ch: Channels of its input.
        max_batch: Largest batch of the exported program.
        max_side: Largest height and width, in pixels.
    """
    sides = {'max': max_side, 'min': 1}
    shapes = ({0: Dim('batch', min=1, max=max_batch), 2: Dim('height', **sides), 3: Dim('width', **sides)},)
    example = next(net.parameters()).new_zeros(2, num_in_ch, 21, 34)
    with _config.patch(backed_size_oblivious=True):
        return torch.export.export(
            net, (example,), dynamic_shapes=shapes, prefer_deferred_runtime_asserts_over_guards=True
        )
