"""ASID x2 in mmagic 1.2, as in the paper: DIV2K, 3.2 M iterations of 16 patches of 64x64 LR pixels.

    asid prepare div2k
    tools=$(python -c 'import mmagic; print(*mmagic.__path__)')/.mim/tools
    python $tools/train.py options/mmagic/asid_x2c48b3_1xb16_div2k.py
    python $tools/test.py options/mmagic/asid_x2c48b3_1xb16_div2k.py \
        work_dirs/asid_x2c48b3_1xb16_div2k/iter_3200000.pth

--resume continues from the last checkpoint. Paths are relative to the current folder.
"""

_base_ = '../mmengine/_base_/schedule.py'

default_scope = 'mmagic'
# the second lets MMEngine read its checkpoints with recent versions of torch
custom_imports = dict(imports=['asid_plugin.archs', 'asid_plugin.mmengine'], allow_failed_imports=False)
scale = 2

model = dict(
    type='BaseEditModel',
    generator=dict(type='ASID', num_feat=48, num_block=3, upscale=scale),
    pixel_loss=dict(type='L1Loss', loss_weight=1.0, reduction='mean'),
    data_preprocessor=dict(type='DataPreprocessor', mean=[0.0, 0.0, 0.0], std=[255.0, 255.0, 255.0]),  # to [0, 1]
)

load_pair = [
    dict(type='LoadImageFromFile', key='img', color_type='color', channel_order='rgb', imdecode_backend='cv2'),
    dict(type='LoadImageFromFile', key='gt', color_type='color', channel_order='rgb', imdecode_backend='cv2'),
]
augment = [
    dict(type='Flip', keys=['img', 'gt'], flip_ratio=0.5, direction='horizontal'),
    dict(type='Flip', keys=['img', 'gt'], flip_ratio=0.5, direction='vertical'),
    dict(type='RandomTransposeHW', keys=['img', 'gt'], transpose_ratio=0.5),
]
train_dataloader = dict(
    batch_size=16,  # 16 in total: with N GPUs write 16 / N
    num_workers=6,
    persistent_workers=True,
    pin_memory=True,
    drop_last=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='BasicImageDataset',
        metainfo=dict(dataset_type='div2k', task_name='sisr'),
        data_root='datasets/DIV2K',
        data_prefix=dict(img=f'DIV2K_train_LR_bicubic/X{scale}_sub', gt='DIV2K_train_HR_sub'),
        pipeline=[
            *load_pair,
            dict(type='SetValues', dictionary=dict(scale=scale)),
            dict(type='PairedRandomCrop', gt_patch_size=64 * scale),
            *augment,
            dict(type='PackInputs'),
        ],
    ),
)
val_dataloader = dict(
    num_workers=1,
    persistent_workers=False,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='BasicImageDataset',
        metainfo=dict(dataset_type='set5', task_name='sisr'),
        data_root='datasets/Set5',
        data_prefix=dict(img=f'LRbicx{scale}', gt=f'GTmod{scale}'),
        pipeline=[*load_pair, dict(type='PackInputs')],
    ),
)
test_dataloader = val_dataloader

# on whole images, without rounding to 8 bits, unlike the paper
val_evaluator = dict(
    type='Evaluator',
    metrics=[
        dict(type='PSNR', crop_border=scale, convert_to='Y'),
        dict(type='SSIM', crop_border=scale, convert_to='Y'),
    ],
)
test_evaluator = val_evaluator

optim_wrapper = dict(type='OptimWrapper')
train_cfg = dict(type='IterBasedTrainLoop')
val_cfg = dict(type='MultiValLoop')
test_cfg = dict(type='MultiTestLoop')
randomness = dict(seed=1234)

default_hooks = dict(
    logger=dict(type='LoggerHook', interval=100),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=5000, max_keep_ckpts=3),
)
log_processor = dict(type='LogProcessor', by_epoch=False)
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
