"""DIV2K from `asid prepare div2k`, for x2."""

train_dataloader = dict(
    batch_size=16,  # 16 in total: with N GPUs write 16 / N
    num_workers=6,
    persistent_workers=True,  # restarting them in every epoch takes time
    pin_memory=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True, seed=0),  # BasicSR's order, independent of randomness.seed
    dataset=dict(
        type='PairedImageDataset',
        name='DIV2K',
        scale=2,
        data_root='datasets/DIV2K',
        data_prefix=dict(gt='DIV2K_train_HR_sub.lmdb', lq='DIV2K_train_LR_bicubic_X2_sub.lmdb'),
        pipeline=[
            dict(type='LoadImagePair'),
            dict(type='PairedRandomCrop', lq_size=64),
            dict(type='PairedAugment', hflip=True, rotation=True),
            dict(type='ImageToTensor', keys=['lq', 'gt']),
            dict(type='PackPair'),
        ],
    ),
)
