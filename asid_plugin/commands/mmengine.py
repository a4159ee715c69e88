"""Train or test with a config of MMEngine.

    asid mmengine train options/mmengine/asid_x2_div2k.py
    asid mmengine test options/mmengine/asid_x2_div2k.py work_dirs/asid_x2_div2k/iter_3200000.pth

Several processes: torchrun --nproc_per_node=4 -m asid_plugin mmengine train CONFIG --launcher pytorch
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands `train` and `test`, with the arguments of OpenMMLab's tools."""
    subparsers = parser.add_subparsers(metavar='ACTION', dest='action', required=True)
    train = subparsers.add_parser('train', help='train with a config', description='Train with a config of MMEngine.')
    test = subparsers.add_parser(
        'test',
        help='test a checkpoint',
        description='Test with a config of MMEngine: write PSNR, SSIM and SR images. CHECKPOINT may be any file of '
        'weights that this package reads.',
    )
    for subparser in (train, test):
        _add_common_arguments(subparser)
    train.add_argument('--resume', action='store_true', help='continue from the last checkpoint in the work folder')
    train.add_argument('--amp', action='store_true', help='mixed precision: float16 on a GPU, bfloat16 on a CPU')
    test.add_argument('checkpoint', metavar='CHECKPOINT', help="MMEngine's, BasicSR's, the authors' or .safetensors")


def _add_common_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add('config', metavar='CONFIG', help='the config, such as options/mmengine/asid_x2_div2k.py')
    add('--work-dir', metavar='DIR', help='default: work_dir of the config, or work_dirs/CONFIG')
    add('--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='change settings of the config')
    add(
        '--launcher',
        choices=['none', 'pytorch', 'slurm'],
        default='none',
        help='pytorch under torchrun, slurm under srun (default: none)',
    )
    add('--local-rank', '--local_rank', type=int, help=argparse.SUPPRESS)  # of torch.distributed.launch


def run(args: argparse.Namespace) -> None:
    """Train or test."""
    from asid_plugin.mmengine.runs import test, train

    if args.action == 'train':
        train(args.config, args.work_dir, args.cfg_options, args.launcher, args.resume, args.amp)
    else:
        test(args.config, args.checkpoint, args.work_dir, args.cfg_options, args.launcher)
