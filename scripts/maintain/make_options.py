"""Make the option files of every variant from those of ASID x2, which are written by hand, and the page about them.

    python scripts/maintain/make_options.py            # after a change of the variants or of the templates
    python scripts/maintain/make_options.py --check    # only say which files would change; exit status 1 if any would

The variants are the rows of `asid_plugin/published/variants.py`; the templates are `options/train_ASID_x2.yml`,
`options/test_ASID_x2.yml` and `options/realesrgan/train_ASID_realesrnet_x2.yml`; the page is `options/README.md`.
"""

import argparse
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from asid_plugin import markdown
from asid_plugin.files import whole_file
from asid_plugin.paper.tables import SIZES, sizes
from asid_plugin.published.variants import TABLE1, TABLE2, TABLE3, TABLE4, VARIANTS, Variant

OPTIONS = Path(__file__).resolve().parents[2] / 'options'
TEMPLATE_UPSCALE = 2
PACKAGED = 'ASID'  # whose weights come with the package
REALESRNET = 'realesrgan/train_ASID_realesrnet_x{}.yml'
REALESRNET_UPSCALES = (2, 4)  # BasicSR degrades images of 400 pixels, which 3 does not divide
ABLATION_HEADER = """\
# yaml-language-server: $schema=../../asid_plugin/options/schema.json
# {name} x{k} as in the paper's ablation studies: DIV2K, 640 k iterations (200 epochs) of 16 patches of 64x64 LR pixels.
#
#   asid prepare div2k
#   asid train options/ablation/{stem}.yml
#   asid evaluate datasets --sets Urban100 --scale {k} --network options/ablation/{stem}.yml
#
# With a GPU give --raw to both, prepare and train: the same training from pixels that need no decoding.
# --auto_resume goes on from the last checkpoint. Paths are relative to where the command is run.
# Made by scripts/maintain/make_options.py from train_ASID_x2.yml and asid_plugin/published/variants.py.
"""
PAGE = """\
# Option files

Every network of the paper, from the rows of `asid_plugin/published/variants.py`. Files that train for 1000 epochs are
there for each scale, with a `test_…` beside them; those in `ablation/` train for 200 epochs at x2, as the ablation
studies do. Sizes are those of x2 at a 1280x720 output; FLOPs are counted as the paper counts them.

{table}

Files that train read LMDBs of PNG files by BasicSR's own loader, which decodes 185 samples a second per worker: enough
for a CPU. For a GPU make LMDBs of raw pixels beside them, once, and say `--raw` when training:

    asid prepare div2k --raw
    asid train options/train_ASID_x2.yml --raw

The training is the same, bit for bit. `--raw` is short for `--force_yml datasets:train:type=RawPairedImageDataset`,
which BasicSR's own `train.py` takes, and which may be written into a file: of `NAME.lmdb` that type reads
`NAME_raw.lmdb`.

`realsr/` fine-tunes on RealSR (the supplement's Table 1); `photos/` trained the weights that come with the package, and
fine-tunes them on your photographs, by `finetune_ASID_real_x2.yml` and `x4` for photographs that are JPEG-compressed or
noisy (mild, L1 alone); `realesrgan/` fine-tunes them on images that BasicSR's model for Real-ESRNet degrades, which is
more; `demo_…` are the quick start's. `mmengine/` and `mmagic/` hold configs for MMEngine and mmagic. This page and the
files of the table are made by `scripts/maintain/make_options.py`.
"""
TABLES = {
    TABLE1: 'Table 1',
    TABLE2: 'Table 2',
    TABLE3: 'Table 3',
    TABLE4: 'Table 4',
}


def substitute(text: str, replacements: Mapping[str, str]) -> str:
    """Replace what the patterns (in multi-line mode) match.

    Raises:
        ValueError: The template has nothing that a pattern matches.
    """
    for pattern, replacement in replacements.items():
        text, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
        if not count:
            raise ValueError(f'the template has nothing like {pattern!r}')
    return text


def network_section(network_g: Mapping[str, Any]) -> str:
    """The lines of `network_g` in YAML."""
    values = {key: str(value).lower() if isinstance(value, bool) else value for key, value in network_g.items()}
    return 'network_g:\n' + ''.join(f'  {key}: {value}\n' for key, value in values.items())


def rescaled(text: str, upscale: int) -> str:
    """A template for another scale than its own."""
    k = TEMPLATE_UPSCALE
    patterns = {
        rf'\bscale: {k}$': f'scale: {upscale}',
        rf'\bcrop_border: {k}$': f'crop_border: {upscale}',
        rf'\bGTmod{k}$': f'GTmod{upscale}',
        rf'\bLRbicx{k}$': f'LRbicx{upscale}',
    }
    if 'gt_size' in text:
        patterns |= {rf'_X{k}_sub': f'_X{upscale}_sub', rf'\bgt_size: {64 * k}\b': f'gt_size: {64 * upscale}'}
    return substitute(text, patterns)


def full_file(template: str, kind: str, variant: Variant, upscale: int) -> str:
    """The options that train (`kind` 'train') for 1000 epochs, or test ('test')."""
    stem = variant.stem
    text = rescaled(template, upscale).replace(f'ASID_x{TEMPLATE_UPSCALE}', f'{stem}_x{upscale}')
    patterns = {
        rf'^# ASID x{TEMPLATE_UPSCALE}': f'# {variant.name} x{upscale}',
        r'^network_g:\n(  .+\n)+': network_section(variant.network_g(upscale)),
    }
    if kind == 'test':
        own = f'experiments/train_{stem}_x{upscale}/models/net_g_latest.pth  # where train_{stem}_x{upscale}.yml ends'
        if variant.name == PACKAGED:
            patterns[rf'packaged:x{TEMPLATE_UPSCALE}$'] = f'packaged:x{upscale}'
        else:
            patterns[r'^  #.+\n  pretrain_network_g: .+$'] = f'  pretrain_network_g: {own}'
        patterns[rf'without {TEMPLATE_UPSCALE} pixels'] = f'without {upscale} pixels'
    return substitute(text, patterns)


def ablation_file(template: str, variant: Variant, upscale: int = TEMPLATE_UPSCALE) -> str:
    """The options that train for 200 epochs."""
    stem = f'train_{variant.ablation}_x{upscale}'
    return substitute(
        template,
        {
            r'\A(#.*\n)+': ABLATION_HEADER.format(name=variant.name, stem=stem, k=upscale),
            rf'^name: train_ASID_x{TEMPLATE_UPSCALE}$': f'name: {stem}',
            r'^network_g:\n(  .+\n)+': network_section(variant.network_g(upscale)),
            r'(milestones: .+)$': r'\1  # of the whole recipe; none is reached here',
            r'total_iter: \d+': 'total_iter: 640000',
            r'; test_ASID_x2.yml measures by tiles, as the paper does': '',
        },
    )


def realesrnet_file(template: str, upscale: int) -> str:
    """The options that fine-tune on images which BasicSR degrades itself."""
    k = TEMPLATE_UPSCALE
    return substitute(
        template,
        {
            rf'realesrnet_x{k}\b': f'realesrnet_x{upscale}',
            rf'^# ASID x{k}\b': f'# ASID x{upscale}',
            rf'^(\s*(?:up)?scale): {k}$': rf'\1: {upscale}',
            rf'^gt_size: {64 * k}\b': f'gt_size: {64 * upscale}',
            rf'packaged:x{k}$': f'packaged:x{upscale}',
        },
    )


def where_reported(variant: Variant) -> str:
    """Where the paper has a network: 'Table 3 (ID+CS), Figure 7 (N = 3)'."""
    places = [f'{TABLES[table]} ({name})' for table, name in variant.reported.items()]
    if variant.depth:
        places.append(f'Figure 7 (N = {variant.depth})')
    if variant.network == 'OmniSR':
        places.append("the supplement's Figure 1")
    return ', '.join(places)


def page() -> str:
    """`options/README.md`."""
    rows = []
    for variant in VARIANTS:
        arguments = ', '.join(f'{key}: {value}' for key, value in variant.arguments.items()).replace('False', 'false')
        files = [f'`train_{variant.stem}_x*.yml`'] if variant.full else []
        files += [f'`ablation/train_{variant.ablation}_x2.yml`'] if variant.ablation else []
        rows.append([variant.name, f'`{arguments}`', *sizes(variant), where_reported(variant), ', '.join(files)])
    header = ['network', 'arguments', *SIZES, 'in the paper', 'option files']
    return PAGE.format(table=markdown.table(header, rows))


def option_files() -> Iterator[tuple[Path, str]]:
    """Every option file that is made, relative to `options`, and its text."""
    templates = {kind: (OPTIONS / f'{kind}_ASID_x2.yml').read_text(encoding='utf-8') for kind in ('train', 'test')}
    for variant in VARIANTS:
        for kind, upscale in ((kind, k) for kind in templates for k in variant.upscales if variant.full):
            stem = variant.stem
            yield Path(f'{kind}_{stem}_x{upscale}.yml'), full_file(templates[kind], kind, variant, upscale)
        if variant.ablation:
            path = Path('ablation', f'train_{variant.ablation}_x{TEMPLATE_UPSCALE}.yml')
            yield path, ablation_file(templates['train'], variant)
    template = (OPTIONS / REALESRNET.format(TEMPLATE_UPSCALE)).read_text(encoding='utf-8')
    for k in REALESRNET_UPSCALES:
        yield Path(REALESRNET.format(k)), realesrnet_file(template, k)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the files that differ, or name them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--check', action='store_true', help='write nothing')
    args = parser.parse_args(argv)
    stale = 0
    for name, text in [*option_files(), (Path('README.md'), page())]:
        path = OPTIONS / name
        if path.exists() and path.read_text(encoding='utf-8') == text:
            continue
        stale += 1
        print(f'{"would write" if args.check else "wrote"} options/{name.as_posix()}')
        if not args.check:
            with whole_file(path) as unfinished:
                unfinished.write_text(text, encoding='utf-8')
    return 1 if args.check and stale else 0


if __name__ == '__main__':
    sys.exit(main())
