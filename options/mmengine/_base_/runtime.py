"""Imports, logging, checkpoints, seed."""

custom_imports = dict(imports=['asid_plugin.mmengine'], allow_failed_imports=False)
default_scope = 'asid'

default_hooks = dict(
    runtime_info=dict(type='SRRuntimeInfoHook'),  # ends a training that diverges
    logger=dict(type='LoggerHook', interval=100, log_metric_by_epoch=False),
    checkpoint=dict(
        type='CheckpointHook', by_epoch=False, interval=5000, max_keep_ckpts=3, save_best='Set5/PSNR', rule='greater'
    ),
    visualization=dict(type='SRVisualizationHook', in_val=False, in_test=True),
)
log_processor = dict(by_epoch=False)
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])

randomness = dict(seed=1234)
env_cfg = dict(cudnn_benchmark=True)
