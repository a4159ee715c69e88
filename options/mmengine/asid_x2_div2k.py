"""ASID x2 as in the paper: DIV2K, 3.2 M iterations (1000 epochs) of 16 patches of 64x64 LR pixels.

    asid prepare div2k
    asid mmengine train options/mmengine/asid_x2_div2k.py
    torchrun --nproc_per_node=4 -m asid_plugin mmengine train options/mmengine/asid_x2_div2k.py --launcher pytorch \
        --cfg-options train_dataloader.batch_size=4

--resume continues from the last checkpoint. Paths are relative to the current folder.
"""

_base_ = ['_base_/div2k.py', '_base_/benchmarks.py', '_base_/schedule.py', '_base_/runtime.py']

model = dict(
    type='SuperResolver',
    generator=dict(type='ASID', num_feat=48, num_block=3, upscale=2),
    pixel_loss=dict(type='L1Loss', loss_weight=1.0, reduction='mean'),
    borders='zeros',  # as in the paper; flush, the default, is better at the bottom and right
)
