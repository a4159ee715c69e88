"""What the commands `train` and `test` have in common."""

import argparse
import os
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.runner import Runner

from asid_plugin.checkpoint import CheckpointError
from asid_plugin.memory import keep_freed_memory
from asid_plugin.mm.dataset import DatasetError


def make_parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """A parser with the arguments of both commands, which are those of OpenMMLab's tools."""
    parser = argparse.ArgumentParser(prog=f'python -m asid_plugin.mm.{name}', description=description)
    parser.add_argument('config', metavar='CONFIG', help='such as options/mmengine/asid_x2_div2k.py')
    parser.add_argument('--work-dir', metavar='DIR', help="default: the config's, or work_dirs/ and its name")
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE', help='changes to the config'
    )
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm'], default='none', help='pytorch with torchrun (default: none)'
    )
    parser.add_argument('--local-rank', '--local_rank', type=int, help=argparse.SUPPRESS)  # torch.distributed.launch
    return parser


def read_config(args: argparse.Namespace, parser: argparse.ArgumentParser) -> Config:
    """Read the config that the arguments name and change it as they say."""
    try:
        cfg = Config.fromfile(args.config)
    except Exception as error:  # a config is a program, which fails in any way
        parser.error(f'{args.config}: {type(error).__name__}: {" ".join(str(error).split())}')
    if args.launcher == 'pytorch' and 'RANK' not in os.environ:
        parser.error(f'--launcher pytorch needs torchrun: torchrun --nproc_per_node=N -m {parser.prog.split()[-1]} ...')
    cfg.merge_from_dict(args.cfg_options)
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or str(Path('work_dirs', Path(args.config).stem))
    return cfg


def run(cfg: Config, action: str, parser: argparse.ArgumentParser) -> None:
    """Let a `Runner` do `action`, 'train' or 'test'; what the data or weights lack ends the program with one line."""
    if not torch.cuda.is_available():
        keep_freed_memory()
    try:
        getattr(Runner.from_cfg(cfg), action)()
    except (DatasetError, CheckpointError) as error:
        parser.error(str(error))
