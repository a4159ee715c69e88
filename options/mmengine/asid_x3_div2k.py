"""ASID x3: asid_x2_div2k.py at another scale."""

_base_ = 'asid_x2_div2k.py'

scale = 3
model = dict(generator=dict(upscale=scale))
train_dataloader = dict(dataset=dict(scale=scale, data_prefix=dict(lq=f'DIV2K_train_LR_bicubic_X{scale}_sub.lmdb')))
test_sets = [
    dict(each, scale=scale, data_prefix=dict(gt=f'GTmod{scale}', lq=f'LRbicx{scale}')) for each in _base_.test_sets
]
val_dataloader = dict(dataset=test_sets[0])
test_dataloader = dict(dataset=dict(datasets=test_sets))
