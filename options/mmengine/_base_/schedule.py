"""The paper's 3.2 M iterations."""

optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=5.0e-4, weight_decay=1.0e-4, betas=(0.9, 0.999), fused=True)  # one kernel for all
)
param_scheduler = dict(
    type='MultiStepLR',
    by_epoch=False,
    milestones=[800000, 1600000, 2400000],
    gamma=0.5,
    end=1000000000,  # else the schedule ends at max_iters, even if a training resumes with more
)
train_cfg = dict(type='SRTrainLoop', max_iters=3200000, val_interval=5000, tf32=False)  # faster on a GPU, less precise
