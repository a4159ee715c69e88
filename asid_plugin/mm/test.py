"""Test by a config of MMEngine: PSNR and SSIM, and SR images, of weights in any file that this package reads."""

from collections.abc import Sequence

from asid_plugin.mm.command import make_parser, read_config, run


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = make_parser('test', __doc__)
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help="MMEngine's, BasicSR's, the authors' or .safetensors")
    args = parser.parse_args(argv)
    cfg = read_config(args, parser)
    cfg.model.pretrained = args.checkpoint
    cfg.load_from = None
    run(cfg, 'test', parser)


if __name__ == '__main__':
    main()
