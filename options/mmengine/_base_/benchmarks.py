"""Set5 for validation, the four benchmarks for testing, at x2; PSNR and SSIM on Y, with k pixels cropped."""

test_sets = [
    dict(
        type='PairedImageDataset',
        name=name,
        scale=2,
        data_root=f'datasets/{name}',
        data_prefix=dict(gt='GTmod2', lq='LRbicx2'),
        pipeline=[
            dict(type='LoadImagePair'),
            dict(type='CropToScale'),
            dict(type='ImageToTensor', keys=['lq', 'gt']),
            dict(type='PackPair'),
        ],
        test_mode=True,
    )
    for name in ('Set5', 'Set14', 'B100', 'Urban100')
]
_loader = dict(batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False))
val_dataloader = dict(**_loader, dataset=test_sets[0])
test_dataloader = dict(**_loader, dataset=dict(type='ConcatDataset', datasets=test_sets))
val_evaluator = [dict(type='PSNR'), dict(type='SSIM')]
test_evaluator = val_evaluator
val_cfg = dict()
test_cfg = dict()
