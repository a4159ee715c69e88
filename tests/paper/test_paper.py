"""The paper's tables and curves, and the variants that they and the option files are made from."""

import csv
import re
import sys
from functools import partial
from pathlib import Path

import pytest
import yaml
from torch import nn

import make_options
from asid_plugin import markdown
from asid_plugin.commands.paper import PARTS
from asid_plugin.cost import measure
from asid_plugin.paper import curves, tables
from asid_plugin.paper.measured import MeasuredError, read_means
from asid_plugin.published.reported import Figures, read_table, reported_row, table1
from asid_plugin.published.variants import BY_NAME, VARIANTS, Variant, channel_splits, depths, find, reported_in
from helpers import command

main = command('paper')
ROOT = Path(__file__).resolve().parents[2]
SHARED_TABLES = ROOT.parent / 'shared' / 'tables'


def cells(text: str) -> list[list[str]]:
    """The rows of a Markdown table, without the header."""
    lines = [line for line in text.splitlines() if line.startswith('|')]
    return [[cell.strip() for cell in line.strip('|').split('|')] for line in lines[2:]]


def produce(capsys: pytest.CaptureFixture, *arguments: str | Path) -> str:
    assert main([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


@pytest.fixture
def evaluation(tmp_path: Path) -> Path:
    """An evaluation's CSV file, of Urban100 x2: ASID twice, a deeper one, bicubic; means and one image."""
    rows = [
        ['scale', 'set', 'image', 'method', 'how', 'params', 'source', 'psnr', 'ssim'],
        [2, 'Urban100', 'img_001', 'ASID', 'tiles', 297516, 'a.pth', 30.0, 0.9],
        [2, 'Urban100', '', 'bicubic', '', '', '', 26.88, 0.8403],
        [2, 'Urban100', '', 'ASID', 'tiles', 297516, 'a.pth', 32.4567, 0.93211],
        [2, 'Set5', '', 'ASID', 'tiles', 297516, 'a.pth', 38.0, 0.96],
        [2, 'Urban100', '', 'N=4', 'tiles', 384442, 'b.pth', 32.7, 0.94],
    ]
    path = tmp_path / 'evaluation.csv'
    with path.open('w', newline='') as file:
        csv.writer(file).writerows(rows)
    return path


def test_what_the_paper_reports() -> None:
    assert len(table1()) == 36
    row = reported_row(2, 'asid-d8')
    assert (row.method, row.params_k, row.transformer) == ('ASID-D8', 732, True)
    assert row.figures['Urban100'] == Figures(33.35, 0.9387)
    assert reported_row(2, 'EDSR') is None


@pytest.mark.skipif(not SHARED_TABLES.is_dir(), reason='needs the tables that the data were copied from')
def test_the_data_are_the_tables_they_were_copied_from() -> None:
    names = {path.stem: path.stem for path in SHARED_TABLES.glob('*.csv')} | {'realsr': 'supplement_table1_realsr'}
    data = ROOT / 'asid_plugin' / 'published' / 'data'
    assert {path.stem for path in data.glob('*.csv')} == set(names.values())
    for theirs, ours in names.items():
        assert (data / f'{ours}.csv').read_bytes() == (SHARED_TABLES / f'{theirs}.csv').read_bytes()


@pytest.mark.parametrize(
    ('command', 'table', 'key'),
    [('table3', 'table3_ablation_x2', 'variant'), ('table4', 'table4_sharing_x2', 'sharing')],
)
def test_the_ablations_to_the_printed_digit(command: str, table: str, key: str, capsys: pytest.CaptureFixture) -> None:
    printed = {row[0]: row for row in cells(produce(capsys, command))}
    for row in read_table(table):
        name, parameters, flops, _, paper, psnr, options = printed[row[key]]
        assert (parameters, flops) == (f'{int(row["params_exact"]):,}', row['macs_g_exact'])
        assert (paper, psnr) == (f'{row["params_k"]}K, {row["flops_g"]}G', row['urban100_psnr'])
        trained = yaml.safe_load((ROOT / options).read_text())
        assert trained['network_g'] == reported_in(table)[name].network_g(2)
    assert len(printed) == len(read_table(table))


@pytest.mark.slow
def test_table2_counts_what_the_paper_counts(capsys: pytest.CaptureFixture) -> None:
    printed = {row[0]: row for row in cells(produce(capsys, 'table2', '--no-measure'))}
    assert printed['ASID'][1:4] == ['313,104', '17.166', '20.795']
    assert printed['ASID-D8'][1:4] == ['747,734', '40.674', '49.560']
    assert printed['IMDN'][1:] == ['–', '–', '–', '–', '–', '715K, 40.9G', '28.58']
    for row in read_table('table2_complexity_x4'):
        if row['method'].startswith('ASID'):
            assert f'{float(printed[row["method"]][2]):.1f}' == row['flops_g']


@pytest.mark.slow
def test_table1_counts_our_parameters_and_takes_measured_rows(capsys: pytest.CaptureFixture, evaluation: Path) -> None:
    printed = produce(capsys, 'table1', '--measured', evaluation)
    rows = [row for part in re.split(r'\nx\d\n', printed)[1:] for row in cells(part)]
    counted = [(row[1], row[2]) for row in rows if row[0].startswith('ASID') and 'measured' not in row[0]]
    assert counted[:2] == [('297,516', '298K'), ('732,146', '732K')] and len(counted) == 6
    assert all(round(int(ours.replace(',', '')) / 1e3) == int(theirs[:-1]) for ours, theirs in counted)
    assert ['ASID, tiles, measured here', '297,516', '–', '38.00 / 0.9600', '–', '–', '32.46 / 0.9321'] in rows
    assert ['bicubic, measured here', '–', '–', '–', '–', '–', '26.88 / 0.8403'] in rows


def test_any_network_is_counted() -> None:
    net = nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.PixelShuffle(2))
    counts = tables.count_any(net, 2)
    assert (counts.parameters, counts.multiply_adds) == (336, 360 * 640 * 27 * 12)


@pytest.mark.slow
def test_figure7_and_the_counts_behind_it(capsys: pytest.CaptureFixture, evaluation: Path, tmp_path: Path) -> None:
    path = tmp_path / 'depth.png'
    rows = cells(produce(capsys, 'figure7', '-o', path, '--measured', evaluation))
    expected = ['210,590', '297,516', '384,442', '471,368', '558,294', '645,220', '732,146']
    assert [row[:2] for row in rows] == [[str(n + 2), parameters] for n, parameters in enumerate(expected)]
    assert path.read_bytes().startswith(b'\x89PNG')
    with pytest.raises(MeasuredError, match='N=4 was measured twice'):
        curves._measured_psnr(depths(), [evaluation, evaluation])
    with pytest.raises(MeasuredError, match=r'evaluation\.csv: no results .*OmniSR_ratio050'):
        curves._measured_psnr(channel_splits(), [evaluation])

    counts = {n: tables.count(variant, 2) for n, variant in depths().items()}
    parameters, multiply_adds, psnr = curves.draw('N', counts, {3: 32.5, 4: 32.7}).axes
    assert parameters.lines[0].get_xydata().tolist()[1] == [3, 297.516]
    for line, expected in zip(multiply_adds.lines, ([77.793, 190.362], [63.592, 155.590]), strict=True):
        assert [round(y, 3) for y in line.get_ydata()][1::5] == expected
    assert psnr.lines[0].get_xydata()[1:3].tolist() == [[3, 32.5], [4, 32.7]]


def test_the_channel_splits_cost_the_less_the_less_enters_attention(
    capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    rows = cells(produce(capsys, 'supplement-figure1', '-o', tmp_path / 'ratio.svg'))
    assert [row[0] for row in rows] == ['1', '0.75', '0.5', '0.25'] and rows[0][1] == '489,020'
    for column in (1, 2, 3):
        values = [float(row[column].replace(',', '')) for row in rows]
        assert values == sorted(values, reverse=True) and len(set(values)) == 4


def test_a_table_or_figure_cannot_be_produced(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    assert main(['table1', '--measured', 'missing.csv']) == 2
    assert capsys.readouterr().err == 'error: missing.csv: No such file or directory\n'
    assert main(['figure7', '-o', str(tmp_path / 'depth.jpg')]) == 2
    assert 'depth.jpg: figures are written as .png, .pdf, .svg' in capsys.readouterr().err
    (tmp_path / 'other.csv').write_text('name,psnr\nASID,30\n')
    with pytest.raises(MeasuredError, match=r'other\.csv: no column how, image'):
        read_means(tmp_path / 'other.csv')


def test_every_command_says_what_it_takes(capsys: pytest.CaptureFixture) -> None:
    for name in PARTS:
        with pytest.raises(SystemExit, match='0'):
            main([name, '--help'])
        assert f'asid paper {name}' in capsys.readouterr().out


@pytest.mark.slow
def test_time_and_memory_are_those_of_the_pass() -> None:
    """The output of 4000x4000 in three channels of float32 is 183 MiB."""
    found = measure(partial(nn.Upsample, scale_factor=40), (100, 100), repeat=2, threads=1)
    assert 0 < found.seconds < 10
    if sys.platform == 'linux':
        assert 180 <= found.peak_bytes / 2**20 < 300


def test_a_table_in_markdown() -> None:
    assert markdown.table(['a', 'long'], [['x', '1'], ['yyyyy', '']]).splitlines() == [
        '| a     | long |',
        '|-------|------|',
        '| x     | 1    |',
        '| yyyyy |      |',
    ]


@pytest.mark.slow
def test_the_option_files_are_those_of_the_variants(capsys: pytest.CaptureFixture) -> None:
    assert make_options.main(['--check']) == 0, capsys.readouterr().out
    made = {path for path, _ in make_options.option_files()}
    assert made >= {path.relative_to(ROOT / 'options') for path in (ROOT / 'options' / 'ablation').glob('*.yml')}
    full = {(kind, v.name, k) for v in VARIANTS if v.full for kind in ('train', 'test') for k in v.upscales}
    ablations = sum(bool(v.ablation) for v in VARIANTS)
    assert len(made) == len(full) + ablations + len(make_options.REALESRNET_UPSCALES)


def test_a_new_row_makes_an_option_file() -> None:
    variant = Variant('wide', {'num_block': 2, 'sharing': 'none'}, ablation='wide')
    template = (ROOT / 'options' / 'train_ASID_x2.yml').read_text()
    text = make_options.ablation_file(template, variant)
    opt, original = yaml.safe_load(text), yaml.safe_load(template)
    assert opt['network_g'] == {'type': 'ASID', 'num_feat': 48, 'num_block': 2, 'sharing': 'none', 'upscale': 2}
    assert (opt['name'], opt['train']['total_iter']) == ('train_wide_x2', 640_000)
    assert opt['datasets'] == original['datasets'] and opt['train'] == original['train'] | {'total_iter': 640_000}
    with pytest.raises(ValueError, match='does not match the template'):
        make_options.ablation_file(template.replace('total_iter', 'iterations'), variant)


@pytest.mark.parametrize('variant', VARIANTS, ids=lambda variant: variant.name)
def test_a_variant_is_known_by_its_arguments(variant: Variant) -> None:
    assert find(variant.network_g(4)) is variant
    assert find({'type': variant.network, 'window_size': 4, **variant.network_g(2)}) is None


def test_other_networks_are_no_variants() -> None:
    assert find({'type': 'ASID'}) is BY_NAME['ASID']  # its defaults
    assert find({'type': 'SwinIR', 'upscale': 2}) is None
    assert find({'type': 'ASID', 'num_feat': 32}) is None


def test_every_variant_has_its_own_name_and_files() -> None:
    stems = [v.ablation for v in VARIANTS if v.ablation]
    assert len(BY_NAME) == len(VARIANTS) and len(set(stems)) == len(stems)
    assert list(depths()) == list(range(2, 9)) and list(channel_splits()) == [1, 0.75, 0.5, 0.25]
    assert all(re.fullmatch(r'\w+', stem) for stem in stems)
