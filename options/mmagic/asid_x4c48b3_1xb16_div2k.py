"""ASID x4 in mmagic 1.2: asid_x2c48b3_1xb16_div2k.py at another scale."""

_base_ = 'asid_x2c48b3_1xb16_div2k.py'

scale = 4
model = dict(generator=dict(upscale=scale))
train_dataloader = dict(
    dataset=dict(
        data_prefix=dict(img=f'DIV2K_train_LR_bicubic/X{scale}_sub'),
        pipeline=[
            *_base_.load_pair,
            dict(type='SetValues', dictionary=dict(scale=scale)),
            dict(type='PairedRandomCrop', gt_patch_size=64 * scale),
            *_base_.augment,
            dict(type='PackInputs'),
        ],
    )
)
val_dataloader = dict(dataset=dict(data_prefix=dict(img=f'LRbicx{scale}', gt=f'GTmod{scale}')))
test_dataloader = val_dataloader
val_evaluator = dict(metrics=[dict(metric, crop_border=scale) for metric in _base_.val_evaluator.metrics])
test_evaluator = val_evaluator
