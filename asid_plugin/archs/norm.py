"""LayerNorm that keeps feature maps in 16 bits under autocast."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LayerNorm(nn.LayerNorm):
    """`nn.LayerNorm` that does not cast maps of 16 bits; means and variances are computed in float32 either way.

    Autocast on a GPU would cast each map to float32 and the result back for the next layer: three passes over memory,
    twice as wide.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to (B, H, W, C)."""
        kind = x.device.type
        # not is_autocast_available, where the graphs of torch.compile end in PyTorch 2.11; 'meta' has no autocast
        if x.dtype not in (torch.float16, torch.bfloat16) or x.is_meta or not torch.is_autocast_enabled(kind):
            return super().forward(x)
        with torch.autocast(kind, enabled=False):
            weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
            return F.layer_norm(x, self.normalized_shape, weight, bias, self.eps)
