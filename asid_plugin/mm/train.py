"""Train by a config of MMEngine. Several processes: `torchrun -m asid_plugin.mm.train CONFIG --launcher pytorch`."""

from collections.abc import Sequence

from asid_plugin.mm.command import make_parser, read_config, run


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = make_parser('train', __doc__)
    parser.add_argument('--resume', action='store_true', help='go on from the last checkpoint in the work folder')
    parser.add_argument('--amp', action='store_true', help='mixed precision: float16 on a GPU, bfloat16 on a CPU')
    args = parser.parse_args(argv)
    cfg = read_config(args, parser)
    cfg.resume = args.resume or cfg.get('resume', False)
    if args.amp:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
    run(cfg, 'train', parser)


if __name__ == '__main__':
    main()
