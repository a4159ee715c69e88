"""The information distillation block (IDB), Figure 3 and Equations 4 to 6."""

import torch
from torch import Tensor, nn

from asid_plugin.registry import BLOCK_REGISTRY

from .attention import CAM, SAM, Matrices
from .convolution import Conv1x1
from .local import ESA, LM


class DistillationUnit(nn.Module):
    """One calculation unit of an IDB: LM, then SAM, with channel-split around the SAM.

    Args:
        dim: Channels.
        num_local: Channels that bypass attention (channel-split); 0 sends all of them through the SAM.
        fuse: Mix SAM output and local channels by a 1x1 convolution.
        window_size: P.
        shared: The SAM uses another SAM's matrices.
    """

    def __init__(self, dim: int, num_local: int, fuse: bool, window_size: int = 8, shared: bool = False) -> None:
        super().__init__()
        self.split = [num_local, dim - num_local]
        self.lm = LM(dim)
        self.sam = SAM(dim - num_local, window_size, shared)
        self.fuse = Conv1x1(dim, dim) if fuse else nn.Identity()

    def forward(self, x: Tensor, attn: Matrices | None) -> tuple[Tensor, Matrices]:
        """(B, H, W, dim) and shared matrices or None, to (B, H, W, dim) and the matrices used."""
        local, x = self.lm(x).split(self.split, dim=-1)
        x, attn = self.sam(x, attn)
        return self.fuse(torch.cat([x, local], dim=-1)), attn


@BLOCK_REGISTRY.register()
class IDB(nn.Module):
    """Information distillation block.

    Each of three units refines the features: `num_feat / 4` channels of its output become *refined* features, and the
    others continue as *coarse* features. The refined features and the output of the last unit are aggregated, and pass
    through CAM and ESA.

    Args:
        num_feat: Channels C.
        window_size: P.
        shared: For each unit, whether its SAM uses shared matrices instead of its own.
        distillation: False replaces the three units by one of full width (the paper's Baseline).
        channel_split: Send only part of a unit's channels through its SAM.
    """

    def __init__(
        self,
        num_feat: int = 48,
        window_size: int = 8,
        shared: tuple[bool, bool, bool] = (False, False, False),
        distillation: bool = True,
        channel_split: bool = True,
    ) -> None:
        super().__init__()
        self.num_refined = num_feat // 4
        widths = [num_feat - i * self.num_refined for i in range(3 if distillation else 1)]
        num_local = self.num_refined if channel_split else 0
        self.units = nn.ModuleList(
            DistillationUnit(width, num_local, channel_split and i < len(widths) - 1, window_size, shared[i])
            for i, width in enumerate(widths)
        )
        self.aggregate = Conv1x1(num_feat, num_feat) if distillation else nn.Identity()
        self.cam = CAM(num_feat, window_size)
        self.conv = Conv1x1(num_feat, num_feat)
        self.esa = ESA(num_feat)

    def forward(self, x: Tensor, attn: list[Matrices] | None = None) -> tuple[Tensor, list[Matrices]]:
        """Refine features.

        Args:
            x: F_in, (B, H, W, C).
            attn: A, the matrices to share, for each unit (meso, global); None to compute them.

        Returns:
            F_out, (B, H, W, C), and the matrices that the units used.
        """
        features, used = self.distill(x, attn)
        return self.esa(self.conv(self.cam(features), 'add', x)), used

    def distill(self, x: Tensor, attn: list[Matrices] | None) -> tuple[Tensor, list[Matrices]]:
        """Equations 4 and 5, from F_in to the aggregated features, (B, H, W, C); arguments as `forward`."""
        refined: list[Tensor] = []
        used: list[Matrices] = []
        coarse = x
        for i, unit in enumerate(self.units):
            coarse, matrices = unit(coarse, attn[i] if attn else used[0] if used else None)
            used.append(matrices)
            if i < len(self.units) - 1:
                distilled, coarse = coarse.split([self.num_refined, coarse.shape[-1] - self.num_refined], dim=-1)
                refined.append(distilled)
        return self.aggregate(torch.cat([*refined, coarse], dim=-1)), used
