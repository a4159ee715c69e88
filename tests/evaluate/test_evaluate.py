"""The evaluator: what it takes for a benchmark set and for a network, its figures, table and files."""

import csv
import math
import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from basicsr.metrics import calculate_psnr, calculate_ssim
from torch.nn import functional as F

from asid_plugin.archs import ASID
from asid_plugin.archs import OmniSR as OurOmniSR
from asid_plugin.evaluate.benchmarks import Sample, find_set, find_sets, load_sample, read_rgb
from asid_plugin.evaluate.methods import Network, Running, load_candidates
from asid_plugin.evaluate.protocol import bicubic, downscale
from asid_plugin.evaluate.results import Evaluation, EvaluationError, ImageResult, Method, SetResult
from asid_plugin.evaluate.run import evaluate, evaluate_image
from asid_plugin.evaluate.table import markdown, notes, rows
from asid_plugin.inference.tiling import Windows, tiled
from asid_plugin.published.reported import Figures
from asid_plugin.tiles import BORDERS
from helpers import TINY, Payload, command, write_pairs

# isort: split
from basicsr.archs.swinir_arch import SwinIR  # after asid_plugin, which lets BasicSR be imported
from spandrel import ModelLoader
from spandrel.architectures.OmniSR import OmniSR
from spandrel.architectures.SAFMN import SAFMN

ROOT = Path(__file__).resolve().parents[2]
BENCHMARK = ROOT.parent / 'shared' / 'data' / 'benchmark'
NEEDS_BENCHMARK = pytest.mark.skipif(not BENCHMARK.is_dir(), reason='needs Set5 and Set14, which do not come along')


@pytest.fixture
def set5(tmp_path: Path) -> Path:
    """Two images in BasicSR's layout at x2, called a set of the paper: LR 24x24 and 28x24."""
    return basicsr_set(tmp_path / 'Set5')


def basicsr_set(folder: Path, scale: int = 2) -> Path:
    write_pairs(folder, 2, scale=scale)
    (folder / 'GT').rename(folder / f'GTmod{scale}')
    (folder / 'LR').rename(folder / f'LRbicx{scale}')
    return folder


def gt_only(folder: Path, name: str) -> Path:
    basicsr_set(folder)
    shutil.rmtree(folder / 'LRbicx2')
    (folder / 'GTmod2').rename(folder / name)
    return folder


def asid(path: Path, **arguments: object) -> ASID:
    torch.manual_seed(0)
    net = ASID(**{key: value for key, value in TINY.items() if key != 'type'} | arguments).eval()
    torch.save({'params': net.state_dict()}, path)
    return net


def run(folder: Path, specs: Sequence[str] = (), scale: int = 2, **how: object) -> Evaluation:
    return evaluate(find_sets([folder], scale), load_candidates(specs, Running(scale, **how)), scale, progress=False)


def expected(folder: Path, upscale: Callable[[torch.Tensor], torch.Tensor]) -> Figures:
    """Mean figures on a set in BasicSR's layout at x2, with nothing but BasicSR's metrics."""
    figures = []
    for path in (folder / 'GTmod2').iterdir():
        lq = torch.from_numpy(cv2.imread(str(folder / 'LRbicx2' / path.name))[..., ::-1].copy())
        with torch.inference_mode():
            sr = upscale(lq.permute(2, 0, 1)[None] / 255)[0].permute(1, 2, 0).numpy()
        sr = np.rint(sr.clip(0, 1) * 255).astype(np.uint8)[..., ::-1]
        pair = {'img': sr, 'img2': cv2.imread(str(path)), 'crop_border': 2, 'test_y_channel': True}
        figures.append((calculate_psnr(**pair), calculate_ssim(**pair)))
    return Figures(*np.mean(figures, axis=0))


def assert_same(found: Figures, wanted: Figures) -> None:
    # a value that lies on a half may round otherwise in a batch of another size
    assert found.psnr == pytest.approx(wanted.psnr, abs=1e-3) and found.ssim == pytest.approx(wanted.ssim, abs=1e-5)


@pytest.mark.slow
@NEEDS_BENCHMARK
@pytest.mark.parametrize(
    ('scale', 'set5', 'set14'),
    [
        (2, '33.68 / 0.9304', '30.33 / 0.8700'),
        (3, '30.41 / 0.8690', '27.63 / 0.7760'),
        (4, '28.43 / 0.8113', '26.09 / 0.7049'),
    ],
)
def test_bicubic_has_the_published_figures(scale: int, set5: str, set14: str):
    lines = markdown(run(BENCHMARK, scale=scale)).splitlines()
    assert [cell.strip() for cell in lines[2].split('|')] == ['', 'bicubic', '', set5, set14, '']
    layout = f'GTmod{scale} and LRbicx{scale}'
    assert lines[-2:] == [f'- Set5: {layout}; 5 images.', f'- Set14: {layout}; 14 images, 2 of them grey.']


@pytest.mark.slow
@NEEDS_BENCHMARK
def test_lr_images_that_are_made_differ_little_from_matlab_s():
    for benchmark in find_sets([BENCHMARK], 2):
        shares, gaps, psnr = [], [], []
        for pair in benchmark.pairs:
            sample = load_sample(pair, 2)
            made = downscale(sample.hr, 2)
            shares.append((made != sample.lq).mean())
            gaps.append(np.abs(made.astype(int) - sample.lq).max())
            psnr.append([calculate_psnr(bicubic(lq, 2), sample.hr, 2, test_y_channel=True) for lq in (made, sample.lq)])
        assert max(shares) < 1 / 6 and max(gaps) <= 12
        assert abs(np.subtract(*np.mean(psnr, axis=0))) < 0.004


def test_a_grey_image_is_measured_as_published(tmp_path: Path):
    colour = basicsr_set(tmp_path / 'a')
    for channels, name in ((1, 'one'), (3, 'three')):
        for folder in ('GTmod2', 'LRbicx2'):
            (tmp_path / name / folder).mkdir(parents=True)
            grey = cv2.imread(str(colour / folder / '0.png'), cv2.IMREAD_GRAYSCALE)
            cv2.imwrite(str(tmp_path / name / folder / '0.png'), grey if channels == 1 else np.dstack([grey] * 3))
    one, three = (run(tmp_path / name) for name in ('one', 'three'))
    assert one.sets[0].images[0].grey and three.sets[0].images[0].grey
    assert one.sets[0].mean('bicubic') == three.sets[0].mean('bicubic')
    assert notes(one)[-1] == 'one: GTmod2 and LRbicx2; 1 image, 1 of them grey.'
    sample = load_sample(find_set(tmp_path / 'one', 2).pairs[0], 2)
    of_values = calculate_psnr(bicubic(sample.lq, 2)[..., :1], sample.hr[..., :1], crop_border=2)
    gain = 20 * math.log10(255 / 219)
    assert one.sets[0].mean('bicubic').psnr == pytest.approx(of_values + gain, abs=1e-4)
    assert not run(colour).sets[0].images[0].grey


def edsr(folder: Path) -> None:
    (folder / 'LR_bicubic').mkdir()
    (folder / 'GTmod2').rename(folder / 'HR')
    (folder / 'LRbicx2').rename(folder / 'LR_bicubic' / 'X2')
    for path in (folder / 'LR_bicubic' / 'X2').iterdir():
        path.rename(path.with_stem(f'{path.stem}x2'))


def selfexsr(folder: Path) -> None:
    (folder / 'image_SRF_2').mkdir()
    for old, new in (('GTmod2', 'HR'), ('LRbicx2', 'LR')):
        for path in (folder / old).iterdir():
            path.rename(folder / 'image_SRF_2' / f'{path.stem}_SRF_2_{new}.png')
        (folder / old).rmdir()


def gtmod12(folder: Path) -> None:
    (folder / 'GTmod2').rename(folder / 'GTmod12')


LAYOUTS = {
    'GTmod2 and LRbicx2': lambda folder: None,
    'GTmod12 and LRbicx2': gtmod12,
    'HR and LR_bicubic/X2': edsr,
    'image_SRF_2': selfexsr,
}


@pytest.mark.parametrize('words', LAYOUTS)
def test_every_layout_gives_the_same_figures(set5: Path, words: str):
    wanted = expected(set5, lambda lq: torch.from_numpy(bicubic_of(lq)))
    LAYOUTS[words](set5)
    (found,) = run(set5.parent).sets
    assert (found.name, found.layout, [image.name for image in found.images]) == ('Set5', words, ['0', '1'])
    assert_same(found.mean('bicubic'), wanted)


def bicubic_of(lq: torch.Tensor) -> np.ndarray:
    pixels = (lq[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    return bicubic(pixels, 2).transpose(2, 0, 1)[None].astype(np.float32) / 255


@pytest.mark.parametrize(('name', 'words'), [('HR', 'HR'), ('original', 'original'), ('.', 'the images in the folder')])
def test_lr_is_made_where_a_set_has_none(tmp_path: Path, name: str, words: str):
    folder = gt_only(tmp_path / 'mine', 'HR')
    hr = read_rgb(folder / 'HR' / '1.png')
    if name == '.':
        for path in (folder / 'HR').iterdir():
            path.rename(folder / path.name)
    else:
        (folder / 'HR').rename(folder / name)
    benchmark = find_set(folder, 2)
    assert benchmark.layout == f'{words}, LR made by imresize'
    assert np.array_equal(load_sample(benchmark.pairs[1], 2).lq, downscale(hr, 2))


def test_of_several_layouts_the_first_is_taken_and_said(set5: Path):
    (set5 / 'LR_bicubic' / 'X2').mkdir(parents=True)
    (set5 / 'HR').mkdir()
    shutil.copy(set5 / 'GTmod2' / '0.png', set5 / 'HR')
    assert find_set(set5, 2).layout == 'GTmod2 and LRbicx2 (also present: HR and LR_bicubic/X2)'


def test_a_set_without_this_scale(set5: Path):
    edsr(set5)
    with pytest.raises(EvaluationError, match=r'looked for GTmod3 and .*found HR, LR_bicubic, LR_bicubic/X2$'):
        find_set(set5, 3)  # HR is not made into LR where the set has LR images of its own


def test_sizes_that_are_no_multiple_are_cropped_and_counted(tmp_path: Path):
    folder = gt_only(tmp_path / 'mine', 'HR')  # 48x48 and 56x48
    cv2.imwrite(str(folder / 'HR' / '0.png'), cv2.imread(str(folder / 'HR' / '0.png'))[:47, :45])
    evaluation = run(folder)
    (image, other) = evaluation.sets[0].images
    assert (image.width, image.height, image.cropped, other.cropped) == (44, 46, True, False)
    assert notes(evaluation)[-1].endswith('; 2 images; 1 of 2 was cropped to a multiple of 2.')
    sample = load_sample(find_set(folder, 2).pairs[0], 2)
    assert np.array_equal(sample.hr, read_rgb(folder / 'HR' / '0.png')[:46, :44])


def test_lr_of_a_cropped_hr_image(set5: Path):
    path = str(set5 / 'GTmod2' / '0.png')
    wanted = run(set5).sets[0].mean('bicubic')
    cv2.imwrite(path, cv2.copyMakeBorder(cv2.imread(path), 0, 1, 0, 1, cv2.BORDER_REPLICATE))
    (found,) = run(set5).sets
    assert found.num_cropped == 1 and found.mean('bicubic') == wanted


def wrong_size(folder: Path) -> None:
    path = str(folder / 'LRbicx2' / '0.png')
    cv2.imwrite(path, cv2.imread(path)[:, :20])


def too_small(folder: Path) -> None:
    path = str(folder / 'GTmod2' / '0.png')
    cv2.imwrite(path, cv2.imread(path)[:14])


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (wrong_size, r'LRbicx2/0.png is 20x24, but \S+GTmod2/0.png is 48x48: LR must be 24x24 for x2$'),
        (too_small, r'GTmod2/0.png: 48x14 pixels; at least 15x15 are needed'),
        (
            lambda folder: (folder / 'LRbicx2/0.png').unlink(),
            r'GTmod2/0.png has no LR image: there is no 0.png in \S+x2$',
        ),
        (
            lambda folder: (folder / 'GTmod2/1.png').write_bytes(b'no'),
            r'GTmod2/1.png: not an image in a supported format',
        ),
        (lambda folder: shutil.copy(folder / 'GTmod2/1.png', folder / 'GTmod2/1.bmp'), 'two images with the same name'),
        (lambda folder: shutil.rmtree(folder), 'no such folder'),
        (lambda folder: shutil.rmtree(folder) or folder.mkdir(), 'neither a benchmark set, .*, nor a folder of sets'),
    ],
)
def test_broken_sets(set5: Path, spoil: Callable[[Path], None], message: str):
    spoil(set5)
    with pytest.raises(EvaluationError, match=message) as error:
        run(set5)
    assert '\n' not in str(error.value)


def test_sets_are_found_ordered_and_chosen(tmp_path: Path):
    for name in ('zoo', 'urban100', 'BSDS100', 'Set5'):
        basicsr_set(tmp_path / 'all' / name)
    (tmp_path / 'all' / 'notes').mkdir()
    for stray in ('preview.png', 'Set5/._0.png'):
        shutil.copy(tmp_path / 'all' / 'zoo' / 'GTmod2' / '0.png', tmp_path / 'all' / stray)
    assert [found.name for found in find_sets([tmp_path / 'all'], 2)] == ['Set5', 'B100', 'Urban100', 'zoo']
    both = [tmp_path / 'all' / 'Set5', tmp_path / 'all']
    assert [found.name for found in find_sets(both, 2, ['ZOO', 'bsd100'])] == ['zoo', 'B100']
    with pytest.raises(EvaluationError, match='--sets Set14: not in .*; available: Set5, .*zoo'):
        find_sets(both, 2, ['Set14'])
    basicsr_set(tmp_path / 'B100')
    with pytest.raises(EvaluationError, match='BSDS100 and .*B100 have the same set'):
        find_sets([tmp_path / 'all', tmp_path / 'B100'], 2)


@pytest.mark.skipif(sys.platform != 'linux', reason='file names are Unicode here')
def test_a_name_that_no_table_can_hold_is_known_before_anything_is_computed(set5: Path):
    for folder in ('GTmod2', 'LRbicx2'):
        (set5 / folder / '0.png').rename(os.fsdecode(os.fsencode(set5 / folder) + b'/M\xfcller.png'))
    with pytest.raises(EvaluationError, match=r"M\\xfcller.png': its name is not UTF-8"):
        find_sets([set5], 2)


def by_tiles(net: ASID, lq: torch.Tensor, tile: int = 16, stride: int = 12) -> torch.Tensor:
    """Plain overlapping tiles, the last flush with the border, averaged."""
    height, width = lq.shape[2:]
    total, count = torch.zeros(1, 3, 2 * height, 2 * width), torch.zeros(2 * height, 2 * width)
    for y in sorted({min(y, height - tile) for y in range(0, height, stride)}):
        for x in sorted({min(x, width - tile) for x in range(0, width, stride)}):
            place = (..., slice(2 * y, 2 * (y + tile)), slice(2 * x, 2 * (x + tile)))
            total[place] += net(lq[:, :, y : y + tile, x : x + tile])
            count[place] += 1
    return total / count


@pytest.mark.slow
def test_the_authors_checkpoint_by_tiles_and_whole(set5: Path, tmp_path: Path):
    arrays = np.load(ROOT / 'tests' / 'fixtures' / 'asid_x2.npz')
    weights = {key[2:]: torch.from_numpy(arrays[key]).float() / 2 for key in arrays.files if key.startswith('w:')}
    torch.save(weights, tmp_path / 'released.pth')
    net = ASID(upscale=2).eval()
    net.load_state_dict(weights)
    evaluation = run(set5, [str(tmp_path / 'released.pth')], hows=('tiles', 'whole'), tile=16, overlap=4)
    assert [(row.label, row.params) for row in rows(evaluation)] == [
        ('bicubic', ''),
        ('ASID, tiles 16/4', '297,516'),
        ('ASID, as the paper reports', '298K'),
        ('ASID, whole', '297,516'),
    ]
    (found,) = evaluation.sets
    assert_same(found.mean('ASID, whole'), expected(set5, net))
    assert_same(found.mean('ASID, tiles 16/4'), expected(set5, lambda lq: by_tiles(net, lq)))
    assert found.mean('ASID, whole') != found.mean('ASID, tiles 16/4')


@pytest.mark.slow
def test_both_borders_side_by_side(set5: Path, tmp_path: Path):
    """LR of 23x23 and 23x27 pixels: the paper's zeros, and tiles of whole windows that are flush and fade."""
    for file in sorted((set5 / 'GTmod2').iterdir()):
        image = cv2.imread(str(file))[:-2, :-2]
        cv2.imwrite(str(file), image)
        cv2.imwrite(str(set5 / 'LRbicx2' / file.name), downscale(image, 2))
    net = asid(tmp_path / 'a.pth')
    how = {'hows': ('tiles', 'whole'), 'tile': 20, 'overlap': 4}
    evaluation = run(set5, [f'a={tmp_path}/a.pth'], borders=('zeros', 'flush'), **how)
    assert [row.label for row in rows(evaluation)] == [
        'bicubic',
        'a, tiles 20/4',
        'a, tiles 20/4 flush',
        'a, whole',
        'a, whole flush',
    ]
    assert 'a, whole' in [row.label for row in rows(run(set5, [f'a={tmp_path}/a.pth'], **how))]
    (found,) = evaluation.sets
    fading = {'feather': True, 'windows': Windows(8)}
    wanted = {
        'a, tiles 20/4': lambda lq: tiled(net, lq, 2, 20, 4),
        'a, tiles 20/4 flush': lambda lq: tiled(net, lq, 2, 20, 4, **fading),
        'a, whole': net,
        'a, whole flush': lambda lq: tiled(net, lq, 2, None, 4, **fading),
    }
    for label, upscale in wanted.items():
        assert_same(found.mean(label), expected(set5, upscale))
    assert len({found.mean(label).psnr for label in wanted}) == 4


def test_the_notes_name_the_borders():
    words = {borders: str(Running(2, borders=(borders,))) for borders in BORDERS}
    assert "with zeros in ASID and Omni-SR (the paper's protocol)" in words['zeros'] and 'flush' not in words['zeros']
    assert 'flush' in words['flush'] and 'zeros' not in words['flush']
    both = str(Running(2, borders=BORDERS))
    assert 'flush' in both and 'zeros' in both


@pytest.mark.slow
@pytest.mark.parametrize(
    ('arguments', 'name'),
    [
        ({'num_feat': 48, 'num_block': 8}, 'ASID-D8'),
        ({'num_feat': 48, 'num_block': 3, 'sharing': 'none'}, 'ID+CS'),
        ({'num_feat': 16, 'num_block': 3}, 'stem'),
    ],
)
def test_names_of_asids(tmp_path: Path, arguments: dict, name: str):
    asid(tmp_path / 'stem.pth', **arguments)
    for spec, wanted in ((f'{tmp_path}/stem.pth', name), (f'my own={tmp_path}/stem.pth', 'my own')):
        assert load_candidates([spec], Running(2))[1].method.name == wanted


@pytest.mark.slow
def test_self_ensemble_is_named_and_has_no_row_of_the_paper(set5: Path, tmp_path: Path):
    net = asid(tmp_path / 'a.pth')
    evaluation = run(set5, [f'ASID={tmp_path}/a.pth'], self_ensemble=True, hows=('whole',))
    assert [row.label for row in rows(evaluation)] == ['bicubic', 'ASID+, whole']

    def ensemble(lq: torch.Tensor) -> torch.Tensor:
        turned = [(q, f) for q in range(4) for f in ([], [3])]
        return sum(net(lq.rot90(q, (2, 3)).flip(f)).flip(f).rot90(-q, (2, 3)) for q, f in turned) / 8

    assert_same(evaluation.sets[0].mean('ASID+, whole'), expected(set5, ensemble))


@pytest.mark.slow
def test_half_precision(set5: Path, tmp_path: Path):
    net = asid(tmp_path / 'a.pth')
    evaluation = run(set5, [f'a={tmp_path}/a.pth'], hows=('whole',), dtype=torch.bfloat16)
    half = net.bfloat16()
    assert_same(evaluation.sets[0].mean('a, whole'), expected(set5, lambda lq: half(lq.bfloat16()).float()))


def swinir(path: Path) -> dict:
    """Write random weights of a small SwinIR x2; returns its section network_g."""
    size = {'img_size': 24, 'window_size': 8, 'depths': [1], 'embed_dim': 12, 'num_heads': [2], 'mlp_ratio': 2}
    arguments = {'upscale': 2, **size, 'upsampler': 'pixelshuffledirect'}
    torch.manual_seed(0)
    weights = SwinIR(**arguments).state_dict()
    weights['upsample.0.weight'] *= 0.1  # the output stays within [0, 1], to which spandrel clamps each tile
    torch.save({'params': weights}, path)
    return {'type': 'SwinIR', **arguments}


@pytest.mark.filterwarnings('ignore:torch.meshgrid')  # SwinIR's
def test_what_spandrel_loads_is_what_spandrel_computes(set5: Path, tmp_path: Path):
    torch.manual_seed(0)
    torch.save(SAFMN(dim=8, n_blocks=1, upscaling_factor=2).state_dict(), tmp_path / 'safmn.pth')
    torch.save(OmniSR(num_feat=16, block_num=1, res_num=1, up_scale=2).state_dict(), tmp_path / 'omnisr.pth')
    swinir(tmp_path / 'swinir.pth')
    files = [tmp_path / f'{name}.pth' for name in ('safmn', 'omnisr', 'swinir')]
    evaluation = run(set5, [*map(str, files)], hows=('whole',))
    assert [method.name for method in evaluation.methods] == ['bicubic', 'SAFMN', 'Omni-SR', 'SwinIR']
    for file, method in zip(files, evaluation.methods[1:], strict=True):
        model = ModelLoader().load_from_file(file).eval()
        assert method.params == sum(parameter.numel() for parameter in model.model.parameters())
        assert_same(evaluation.sets[0].mean(method.label), expected(set5, model))
    reported = [row.label for row in rows(evaluation) if row.reported]
    assert reported == ['Omni-SR, as the paper reports', 'SwinIR, as the paper reports']


@pytest.mark.filterwarnings('ignore:torch.meshgrid')  # SwinIR's
def test_an_option_file_of_any_registered_network(set5: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    opt = {'scale': 2, 'model_type': 'SwinIRModel', 'network_g': swinir(tmp_path / 'swinir.pth')}
    opt['path'] = {'pretrain_network_g': 'swinir.pth'}
    Path('mine.yml').write_text(yaml.safe_dump(opt))
    ways = {'hows': ('tiles', 'whole'), 'borders': BORDERS}  # borders mean nothing to it
    evaluation = run(set5, ['mine.yml', 'swinir.pth'], tile=20, overlap=5, **ways)  # 20: not 8's multiple
    by_label = {method.label: evaluation.sets[0].mean(method.label) for method in evaluation.methods}
    assert list(by_label) == ['bicubic', 'mine, tiles 20/5', 'mine, whole', 'SwinIR, tiles 20/5', 'SwinIR, whole']
    for how in ('tiles 20/5', 'whole'):
        assert_same(by_label[f'mine, {how}'], by_label[f'SwinIR, {how}'])

    net = SwinIR(**{key: value for key, value in opt['network_g'].items() if key != 'type'}).eval()
    net.load_state_dict(torch.load('swinir.pth')['params'])
    mirrored = lambda lq: net(F.pad(lq, (0, -lq.shape[3] % 8, 0, 0), 'reflect'))[..., : 2 * lq.shape[3]]  # noqa: E731
    assert_same(by_label['mine, whole'], expected(set5, mirrored))


@pytest.mark.parametrize(('settings', 'which'), [({}, 'params'), ({'param_key_g': 'params_ema'}, 'params_ema')])
def test_an_option_file_chooses_the_weights(set5: Path, tmp_path: Path, settings: dict, which: str):
    nets = {'params': asid(tmp_path / 'a.pth'), 'params_ema': ASID(num_feat=16, num_block=1).eval()}
    torch.save({key: net.state_dict() for key, net in nets.items()}, tmp_path / 'a.pth')
    opt = {'network_g': TINY, 'path': {'pretrain_network_g': str(tmp_path / 'a.pth'), **settings}}
    (tmp_path / 'opt.yml').write_text(yaml.safe_dump(opt))
    evaluation = run(set5, [str(tmp_path / 'opt.yml')], hows=('whole',))
    assert_same(evaluation.sets[0].mean('opt, whole'), expected(set5, nets[which]))


def test_an_option_file_that_trained_gives_the_averaged_weights(
    set5: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    models = Path('experiments/a/models')
    models.mkdir(parents=True)
    nets = {'params': asid(tmp_path / 'a.pth'), 'params_ema': ASID(num_feat=16, num_block=1).eval()}
    torch.save({key: net.state_dict() for key, net in nets.items()}, models / 'net_g_latest.pth')
    (tmp_path / 'opt.yml').write_text(yaml.safe_dump({'name': 'a', 'network_g': TINY, 'train': {}}))
    evaluation = run(set5, [str(tmp_path / 'opt.yml')], hows=('whole',))
    assert_same(evaluation.sets[0].mean('opt, whole'), expected(set5, nets['params_ema']))


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'scale': 4}, 'opt.yml: scale: 4, but --scale is 2'),
        ({'network_g': {**TINY, 'num_blok': 1}}, 'opt.yml: network_g: num_blok: unknown; did you mean num_block'),
        ({'network_g': {**TINY, 'num_block': 2}}, 'opt.yml: path: .*a.pth: .*num_block is 1 there and 2 here'),
        ({'network_g': {**TINY, 'upscale': 4}}, 'opt.yml: path: .*upscale is 2 there and 4 here'),
        ({'path': {'pretrain_network_g': None}}, 'opt.yml: path: pretrain_network_g: None should be a file of weights'),
        ({'path': {'pretrain_network_g': 'no.pth'}}, 'opt.yml: path: pretrain_network_g: no.pth: no such file'),
    ],
)
def test_option_files_that_will_not_do(tmp_path: Path, change: dict, message: str):
    asid(tmp_path / 'a.pth')
    opt = {'network_g': TINY, 'path': {'pretrain_network_g': str(tmp_path / 'a.pth')}} | change
    (tmp_path / 'opt.yml').write_text(yaml.safe_dump(opt))
    with pytest.raises(EvaluationError, match=message) as error:
        load_candidates([str(tmp_path / 'opt.yml')], Running(2))
    assert '\n' not in str(error.value)


def write_foreign(path: Path) -> None:
    torch.save({'layer.weight': torch.zeros(3)}, path)


def write_code(path: Path) -> None:
    torch.save({'params': {'weight': torch.zeros(1)}, 'extra': Payload()}, path)


@pytest.mark.parametrize(
    ('write', 'message'),
    [
        (lambda path: None, r'net.pth: no such file or folder \(a network is'),
        (lambda path: asid(Path('nett.pth')), r'net.pth: no such file or folder; did you mean nett.pth\?$'),
        (lambda path: path.write_bytes(b'no'), 'net.pth: damaged or not a checkpoint'),
        (write_code, 'net.pth: refused: it holds Python objects'),
        (write_foreign, 'net.pth: neither an ASID nor a network that spandrel knows'),
        (lambda path: asid(path, upscale=4), 'net.pth: the network has scale 4, but --scale is 2'),
        (
            lambda path: asid(path, num_in_ch=1, num_out_ch=1),
            'net.pth: the network maps 1 to 1 channels, but images have 3',
        ),
    ],
)
def test_files_that_will_not_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable, message: str):
    monkeypatch.chdir(tmp_path)
    write(Path('net.pth'))
    with pytest.raises(EvaluationError, match=message) as error:
        load_candidates(['net.pth'], Running(2))
    assert '\n' not in str(error.value) and not Path('harm').exists()


def test_a_network_that_is_not_what_its_option_file_says(set5: Path, tmp_path: Path):
    asid(tmp_path / 'x3.pth', upscale=3)
    opt = {'network_g': {**TINY, 'upscale': 3}, 'path': {'pretrain_network_g': str(tmp_path / 'x3.pth')}}
    (tmp_path / 'x3.yml').write_text(yaml.safe_dump(opt))
    message = r'^x3, tiles on Set5/0: the output for 3x24x24 .* is 3x72x72, not 3x48x48$'
    with pytest.raises(EvaluationError, match=message):
        run(set5, [str(tmp_path / 'x3.yml')])


@pytest.mark.parametrize(
    ('said', 'advised'),
    [
        ('DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes.', True),
        ('CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`', True),
        ('expected memory format channels_last', False),
    ],
)
def test_smaller_tiles_are_advised_where_memory_lacks(said: str, advised: bool):
    def fail(lq: torch.Tensor) -> torch.Tensor:
        raise RuntimeError(said)

    pixels = np.zeros((16, 16, 3), np.uint8)
    network = Network(Method('N'), fail, Running(2), tile=None)
    with pytest.raises(EvaluationError) as error:
        network(Sample('0', 'Set5', hr=pixels.repeat(2, 0).repeat(2, 1), lq=pixels))
    advice = ' (use --how tiles or a smaller --tile)' if advised else ''
    assert str(error.value) == f'RuntimeError at 16x16 LR pixels: {said}{advice}'


def test_results_made_elsewhere(set5: Path, tmp_path: Path):
    results = tmp_path / 'results'
    shutil.copytree(set5 / 'GTmod2', results / 'Set5')
    black = np.zeros((48, 48, 3), np.uint8)
    cv2.imwrite(str(results / 'Set5' / '0_ab.png'), black)
    cv2.imwrite(str(results / '0.png'), black)
    assert run(set5, [str(results)]).sets[0].mean('results') == Figures(math.inf, pytest.approx(1))
    (results / 'Set5').rename(results / 'set5')  # as the set's own folder may be called
    assert run(set5, [str(results)]).sets[0].mean('results') == Figures(math.inf, pytest.approx(1))
    (results / 'set5').rename(results / 'Set5')
    (results / 'Set5' / '1.png').rename(results / 'Set5' / '1x2_ASID.png')
    (results / 'Set5' / '0.png').rename(results / 'Set5' / '0x2_a.png')  # longer than 0_ab.png
    first, second = run(set5, [f'ASID={results}']).sets[0].images
    assert first.figures['ASID'].psnr < 10 and second.figures['ASID'].psnr == math.inf


def test_results_that_will_not_do_are_known_before_anything_is_computed(set5: Path, tmp_path: Path):
    results = tmp_path / 'results'
    shutil.copytree(set5 / 'GTmod2', results)
    (results / '1.png').rename(results / '10.png')
    with pytest.raises(EvaluationError, match=r'results: no result for 1; expected 1.png, 1x2.png or 1_….png'):
        run(set5, [str(results)])
    shutil.copy(results / '0.png', results / '1.png')
    with pytest.raises(EvaluationError, match=r'^\S*results/1.png is 48x48, but the HR image is 56x48$'):
        run(set5, [str(results)])


def test_labels_are_told_apart(tmp_path: Path):
    a, b = tmp_path / 'a.pth', tmp_path / 'b.pth'
    asid(a), asid(b)
    with pytest.raises(
        EvaluationError, match=f'{re.escape(str(a))} and {re.escape(str(b))} would have the same name X, tiles'
    ):
        load_candidates([f'x={a}', f'X={b}'], Running(2))
    with pytest.raises(EvaluationError, match='HR is not a valid name'):
        load_candidates([f'HR={tmp_path}'], Running(2))
    assert [c.method.label for c in load_candidates(['bicubic', f'{a}', f'{b}'], Running(2))] == [
        'bicubic',
        'a, tiles',
        'b, tiles',
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ('files', 'names'),
    [
        (['a.pth', 'b.pth'], ['ASID (a)', 'ASID (b)']),
        (['one/models/net.pth', 'two/models/net.pth'], ['ASID (one)', 'ASID (two)']),
        (['net.pth', 'deep/er/net.pth'], ['ASID', 'ASID (deep/er)']),
        (['packaged:x2', 'a.pth'], ['ASID, packaged', 'ASID']),
        (['packaged:x2', 'mine=a.pth', 'b.pth'], ['ASID, packaged', 'mine', 'ASID']),
    ],
)
def test_networks_that_are_alike_are_named_by_file(tmp_path: Path, monkeypatch, files: list[str], names: list[str]):
    """The paper's row stands beside each network of its arguments that has no name of the user's."""
    monkeypatch.chdir(tmp_path)
    for file in files:
        path = Path(file.rpartition('=')[2])
        path.parent.mkdir(parents=True, exist_ok=True)
        if not file.startswith('packaged'):
            torch.save({'params': ASID(upscale=2).state_dict()}, path)
    methods = [candidate.method for candidate in load_candidates(files, Running(2))][1:]
    assert [method.name for method in methods] == names
    assert [method.reported_as for method in methods] == ['mine' if name == 'mine' else 'ASID' for name in names]


def test_the_table():
    methods = [Method('bicubic'), Method('ASID-D8', 'whole', 732_146, 'x.pth'), Method('a|b', '', 5)]
    images = [ImageResult(str(i), 9, 9, figures={m.label: Figures(30 + i, 0.9) for m in methods}) for i in range(2)]
    sets = [SetResult('Set5', Path('Set5'), 'GTmod3 and LRbicx3', images), SetResult('mine', Path(), 'HR', images[:1])]
    assert markdown(Evaluation(3, methods, sets, 'whole images; float32 on cpu')) == (
        '| method                        | parameters | Set5           | mine           |\n'
        '|-------------------------------|------------|----------------|----------------|\n'
        '| bicubic                       |            | 30.50 / 0.9000 | 30.00 / 0.9000 |\n'
        '| ASID-D8, whole                | 732,146    | 30.50 / 0.9000 | 30.00 / 0.9000 |\n'
        '| ASID-D8, as the paper reports | 739K       | 34.84 / 0.9307 |                |\n'
        r'| a\|b                          | 5          | 30.50 / 0.9000 | 30.00 / 0.9000 |' + '\n\n'
        "- Scale 3; means over the images of BasicSR's PSNR in dB / SSIM on Y of 8-bit images, "
        'with 3 pixels cropped on each side.\n'
        '- Networks: whole images; float32 on cpu.\n'
        '- Set5: GTmod3 and LRbicx3; 2 images.\n'
        '- mine: HR; 1 image.\n'
    )


@pytest.mark.slow
def test_the_command(set5: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    asid(tmp_path / 'a.pth')
    out = tmp_path / 'out'
    argv = [str(set5), '--scale', '2', '--network', f'my net={tmp_path}/a.pth', '--how', 'both', '--tile', '16']
    assert command('evaluate')([*argv, '--tile-overlap', '4', '-o', out, '--save-images', '--device', 'cpu']) == 0
    printed = capsys.readouterr().out
    assert printed.strip() == (out / 'evaluation.md').read_text().strip()
    assert 'tiles of 16x16 LR pixels that overlap by 4, averaged with equal weights, or whole images' in printed
    with (out / 'evaluation.csv').open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 3 * 3  # methods; two images and the mean
    means = {(line['method'], line['how']): line for line in lines if not line['image']}
    evaluation = run(set5, argv[4:5], hows=('tiles', 'whole'), tile=16, overlap=4)
    for method in evaluation.methods:
        line, mean = means[method.name, method.how], evaluation.sets[0].mean(method.label)
        assert (line['scale'], line['set'], line['params']) == ('2', 'Set5', str(method.params or ''))
        assert (line['psnr'], line['ssim']) == (f'{mean.psnr:.4f}', f'{mean.ssim:.6f}')
    saved = out / 'images' / 'Set5' / '1'
    names = ['HR.png', 'LR.png', 'bicubic.png', 'my_net_tiles_16_4.png', 'my_net_whole.png']
    assert sorted(path.name for path in saved.iterdir()) == names
    assert np.array_equal(read_rgb(saved / 'HR.png'), read_rgb(set5 / 'GTmod2' / '1.png'))
    assert np.array_equal(read_rgb(saved / 'bicubic.png'), bicubic(read_rgb(saved / 'LR.png'), 2))


def test_the_command_writes_the_report(set5: Path, tmp_path: Path):
    pytest.importorskip('jinja2', reason='the report needs jinja2')
    assert command('evaluate')([str(set5), '--scale', '2', '-o', str(tmp_path / 'out'), '--html']) == 0
    names = {'evaluation.csv', 'evaluation.md', 'report.html', 'images'}
    assert {path.name for path in (tmp_path / 'out').iterdir()} == names
    assert 'bicubic' in (tmp_path / 'out' / 'report.html').read_text()


def test_a_failing_network_is_named_and_leaves_nothing_half(set5: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    weights = asid(tmp_path / 'a.pth').state_dict()
    weights['conv_up.bias'][0] = math.nan
    torch.save(weights, tmp_path / 'a.pth')
    out = tmp_path / 'out'
    assert (
        command('evaluate')([str(set5), '--scale', '2', '--network', f'{tmp_path}/a.pth', '-o', str(out), '--html'])
        == 2
    )
    assert capsys.readouterr().err.startswith("error: a, tiles on Set5/0: the network's output is not finite")
    assert sorted(path.name for path in out.rglob('*') if path.is_file()) == ['HR.png', 'LR.png', 'bicubic.png']


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--scale', '0'], '--scale 0: should be 1 or more'),
        (['--scale', '2', '--tile', '8'], '--tile 8 --tile-overlap 24: the overlap must be smaller'),
        (['--scale', '2', '--network', '=a.pth'], '--network =a.pth: should be NAME=FILE'),
        (['--scale', '2', '-o', 'file'], 'file: File exists'),
        (['--scale', '3'], 'no images for scale 3'),
        (['--scale', '2', '--device', 'cuda'], '--device cuda: PyTorch'),
    ],
)
def test_mistakes_on_the_command_line(
    set5: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str, capsys: pytest.CaptureFixture
):
    monkeypatch.chdir(set5.parent)
    Path('file').touch()
    assert command('evaluate')(['Set5', *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: ') and message in error and error.count('\n') == 1


def test_one_image_by_itself(set5: Path):
    sample = load_sample(find_set(set5, 2).pairs[0], 2)
    result = evaluate_image(sample, load_candidates([], Running(2)), 2)
    assert result.figures['bicubic'] == run(set5).sets[0].images[0].figures['bicubic']


@pytest.mark.slow
def test_options_that_train_mean_what_they_have_trained(
    set5: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path('experiments/train_ID_CS_x2/models').mkdir(parents=True)
    net = ASID(sharing='none')
    torch.save({'params': net.state_dict()}, 'experiments/train_ID_CS_x2/models/net_g_latest.pth')
    evaluation = run(set5, [str(ROOT / 'options/ablation/train_ID_CS_x2.yml')], hows=('whole',))
    assert [(m.name, m.params) for m in evaluation.methods] == [('bicubic', None), ('ID_CS', 316_344)]
    assert_same(evaluation.sets[0].mean('ID_CS, whole'), expected(set5, net.eval()))


def test_an_omni_sr_with_a_channel_split(set5: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = OurOmniSR(num_block=3, upscale=2, channel_split=0.5).eval()
    torch.save({'params': net.state_dict()}, tmp_path / 'half.pth')
    evaluation = run(set5, [str(tmp_path / 'half.pth')], hows=('whole',))
    assert evaluation.methods[1].name == 'Omni-SR (ratio 0.5)'
    assert_same(evaluation.sets[0].mean('Omni-SR (ratio 0.5), whole'), expected(set5, net))
