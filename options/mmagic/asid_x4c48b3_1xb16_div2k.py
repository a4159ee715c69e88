# ASID x4 in mmagic 1.2: what differs from x2.

_base_ = 'asid_x2c48b3_1xb16_div2k.py'

work_dir = 'work_dirs/asid_x4c48b3_1xb16_div2k'
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

val_evaluator = dict(
    metrics=[
        dict(type='PSNR', crop_border=scale, convert_to='Y'),
        dict(type='SSIM', crop_border=scale, convert_to='Y'),
    ]
)
test_evaluator = val_evaluator
