"""`asid upscale`: the pixels, the kinds of images, and everything that can go wrong."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
import torch

import helpers
from asid_plugin.archs import ASID
from asid_plugin.errors import UsageError
from asid_plugin.inference import Upscaler, load_upscaler, plan, upscale_file
from asid_plugin.inference.images import Image, ImageError, read_image
from asid_plugin.inference.tiling import tiled

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (20, 24, 3), dtype=np.uint8)
ALPHA = cv2.GaussianBlur(RNG.integers(0, 256, (20, 24), dtype=np.uint8), (0, 0), 2)


@pytest.fixture(scope='module')
def net():
    torch.manual_seed(0)
    return ASID(num_feat=16, num_block=1, upscale=2).eval()


@pytest.fixture(scope='module')
def weights(net, tmp_path_factory):
    path = tmp_path_factory.mktemp('weights') / 'asid.pth'
    torch.save({'params': net.state_dict()}, path)
    return path


@pytest.fixture
def run(weights, capsys):
    """Run the command with weights; gives the exit status, the lines of stdout and those of stderr."""

    def run(*argv, weights=weights):
        status = helpers.command('upscale')([*argv, *(['--weights', str(weights)] if weights else [])])
        out, err = capsys.readouterr()
        return status, out.splitlines(), err.splitlines()

    return run


def write(path, pixels=RGB):
    """Write pixels given as RGB(A) or grey."""
    path.parent.mkdir(exist_ok=True)
    order = {2: None, 3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}[pixels.shape[2] if pixels.ndim == 3 else 2]
    path.write_bytes(cv2.imencode(path.suffix, pixels if order is None else cv2.cvtColor(pixels, order))[1].tobytes())
    return path


def expected(pixels, run_network, bits=8):
    """Plain upscaling of RGB pixels, to integers."""
    top = 2**bits - 1
    lq = torch.from_numpy(pixels.astype(np.float32) / np.float32(top)).permute(2, 0, 1)[None]
    with torch.no_grad():
        sr = run_network(lq)[0].permute(1, 2, 0).numpy()
    return np.rint(sr.clip(0, 1) * top).astype(int)


def names(folder):
    return sorted(os.listdir(folder))


def test_tiles_are_64_with_overlap_24_and_feathered(run, net, tmp_path):
    image = write(tmp_path / 'a.png', RNG.integers(0, 256, (70, 81, 3), dtype=np.uint8))
    pixels = np.asarray(PIL.Image.open(image))
    status, out, err = run(image, '-o', tmp_path / 'b.png')
    assert (status, err) == (0, [])
    assert out == [f'{image} (81x70) -> {tmp_path / "b.png"} (162x140)']
    want = expected(pixels, lambda lq: tiled(net, lq, 2, tile=64, overlap=24, feather=True))
    np.testing.assert_array_equal(np.asarray(PIL.Image.open(tmp_path / 'b.png')), want)
    assert np.abs(want - expected(pixels, net)).max() > 0, 'tiles and the whole image differ, else this shows nothing'


def test_tile_size_and_whole_image(run, net, tmp_path):
    image = write(tmp_path / 'a.png')
    run(image, '-o', tmp_path / 'tiled.png', '--tile', 16, '--tile-overlap', 5)
    run(image, '-o', tmp_path / 'whole.png', '--tile', 0)
    want = expected(RGB, lambda lq: tiled(net, lq, 2, tile=16, overlap=5, feather=True))
    np.testing.assert_array_equal(np.asarray(PIL.Image.open(tmp_path / 'tiled.png')), want)
    np.testing.assert_array_equal(np.asarray(PIL.Image.open(tmp_path / 'whole.png')), expected(RGB, net))


def test_16_bits_stay_16(run, net, tmp_path):
    pixels = RNG.integers(0, 65536, (20, 24, 3), dtype=np.uint16)
    for suffix in ('png', 'tif'):
        assert run(write(tmp_path / f'a.{suffix}', pixels), '-o', tmp_path / f'b.{suffix}')[0] == 0
        got = cv2.imread(str(tmp_path / f'b.{suffix}'), cv2.IMREAD_UNCHANGED)
        assert got.dtype == np.uint16
        np.testing.assert_array_equal(got[..., ::-1], expected(pixels, net, bits=16))


def test_grey_stays_grey(run, net, tmp_path):
    grey = RGB[..., 0].copy()
    assert run(write(tmp_path / 'a.png', grey), '-o', tmp_path / 'b.png')[0] == 0
    got = cv2.imread(str(tmp_path / 'b.png'), cv2.IMREAD_UNCHANGED)
    luma = expected(np.repeat(grey[..., None], 3, axis=2), net) @ [0.299, 0.587, 0.114]
    assert got.shape == (40, 48) and np.abs(got - luma).max() <= 1


@pytest.mark.parametrize('suffix', ['.png', '.tif', '.webp'])
def test_alpha_is_kept_and_enlarged(run, net, tmp_path, suffix):
    image = write(tmp_path / f'a{suffix}', np.dstack([RGB, ALPHA]))
    status, _, err = run(image, '-o', tmp_path / f'b{suffix}')
    assert (status, err) == (0, [])
    got = read_image(tmp_path / f'b{suffix}')
    np.testing.assert_array_equal(np.rint(got.rgb * 255), expected(RGB, net))
    # Bicubic keeps the image: back at the old size, by areas, it is nearly what it was.
    assert got.alpha.shape == (40, 48)
    assert np.abs(cv2.resize(got.alpha, (24, 20), interpolation=cv2.INTER_AREA) * 255 - ALPHA).mean() < 2


def test_opaque_stays_opaque(run, tmp_path):
    run(write(tmp_path / 'a.png', np.dstack([RGB, np.full_like(ALPHA, 255)])), '-o', tmp_path / 'b.png')
    assert (np.asarray(PIL.Image.open(tmp_path / 'b.png'))[..., 3] == 255).all()


def test_what_the_output_cannot_hold_is_said(run, tmp_path):
    status, _, err = run(write(tmp_path / 'a.png', np.dstack([RGB, ALPHA])), '-o', tmp_path / 'b.jpg')
    assert status == 0 and read_image(tmp_path / 'b.jpg').alpha is None
    assert err == [f'note: {tmp_path / "b.jpg"}: JPEG is written without alpha: composited over white']


def test_photographs_are_turned_upright(run, tmp_path):
    exif = PIL.Image.Exif()
    exif[0x112] = 6
    PIL.Image.fromarray(RGB).save(tmp_path / 'a.jpg', exif=exif)
    assert run(tmp_path / 'a.jpg', '-o', tmp_path / 'b.jpg')[0] == 0
    with PIL.Image.open(tmp_path / 'b.jpg') as file:
        assert file.size == (40, 48) and 0x112 not in file.getexif()


@pytest.mark.parametrize('size', [(1, 1), (1, 30), (3, 2)])
def test_tiny_images(run, tmp_path, size):
    image = write(tmp_path / 'a.png', RNG.integers(0, 256, (*size, 4), dtype=np.uint8))
    assert run(image, '-o', tmp_path / 'b.png')[0] == 0
    assert read_image(tmp_path / 'b.png').alpha.shape == (2 * size[0], 2 * size[1])


def test_a_folder_and_names_of_any_alphabet(run, tmp_path):
    folder = tmp_path / 'Фото'
    for name in ('été.jpg', '猫 1.webp', 'b.c.bmp'):
        write(folder / name)
    write(folder / '._b.png').write_bytes(b'what macOS leaves behind')
    (folder / 'notes.txt').write_text('no image')
    write(folder / 'inside' / 'd.png')
    out_folder = tmp_path / 'new' / 'выход'
    status, out, err = run(folder, '-o', out_folder)
    assert (status, err, len(out)) == (0, [], 3)
    assert names(out_folder) == sorted(['été.png', '猫 1.png', 'b.c.png'])
    assert run(folder, '-o', out_folder, '--ext', 'keep')[0] == 0
    assert set(names(out_folder)) > {'été.jpg', '猫 1.webp', 'b.c.bmp'}


def test_a_broken_file_is_reported_and_the_others_go_on(run, tmp_path):
    folder = tmp_path / 'in'
    for name in ('a.png', 'c.png'):
        write(folder / name)
    (folder / 'b.jpg').write_bytes(cv2.imencode('.jpg', RGB)[1].tobytes()[:-300])
    (folder / 'd.png').touch()
    status, out, err = run(folder, write(tmp_path / 'e.png'), '-o', tmp_path / 'out')
    assert status == 1 and len(out) == 3
    assert [line for line in err if 'Corrupt JPEG' not in line] == [
        f'error: {folder / "b.jpg"}: damaged, cut short, or not a PNG, JPEG, WebP, TIFF or BMP image',
        f'error: {folder / "d.png"}: the file is empty',
        '2 of 5 images failed',
    ]
    assert names(tmp_path / 'out') == ['a.png', 'c.png', 'e.png']


def test_too_large_for_the_format_is_said_before_the_work(run, tmp_path):
    image = write(tmp_path / 'a.png', np.zeros((1, 8192), np.uint8))
    status, _, err = run(image, '-o', tmp_path / 'b.webp')
    assert status == 1 and 'b.webp: 16384x2 is too large: WebP ends at 16383 a side' in err[0]


def test_output_that_is_not_finite_is_not_written(run, net, tmp_path):
    state_dict = net.state_dict()
    state_dict['conv_up.bias'] = torch.full_like(state_dict['conv_up.bias'], float('nan'))
    torch.save({'params': state_dict}, tmp_path / 'nan.pth')
    status, _, err = run(write(tmp_path / 'a.png'), '-o', tmp_path / 'b.png', weights=tmp_path / 'nan.pth')
    assert status == 1 and 'not finite' in err[0] and not (tmp_path / 'b.png').exists()


def test_half_is_finite_and_close(run, net, tmp_path):
    image = write(tmp_path / 'a.png')
    assert run(image, '-o', tmp_path / 'b.png', '--half', '--device', 'cpu')[0] == 0
    error = np.abs(np.asarray(PIL.Image.open(tmp_path / 'b.png')) - expected(RGB, net))
    assert 0 < error.max() < 16 and error.mean() < 2


def test_out_of_memory_suggests_smaller_tiles(tmp_path):
    def net(lq):
        return torch.empty(2**50)

    image = write(tmp_path / 'a.png')
    for tile, hint in ((0, 'try --tile 64'), (64, 'try a --tile below 64')):
        with pytest.raises(ImageError, match=f'out of memory at 24x20 pixels; {hint}'):
            upscale_file(image, tmp_path / 'b.png', Upscaler(net, 2, tile))
    assert names(tmp_path) == ['a.png']


def test_a_bug_is_not_taken_for_a_bad_image(tmp_path):
    with pytest.raises(RuntimeError, match='must match'):
        upscale_file(write(tmp_path / 'a.png'), tmp_path / 'b.png', Upscaler(lambda lq: lq + torch.ones(7), 2))


def test_memory_does_not_grow_with_the_tile():
    sizes = []

    def watched(lq):
        sizes.append(lq.numel())
        return lq.repeat_interleave(2, 2).repeat_interleave(2, 3)

    image = Image(np.zeros((500, 500, 3), np.float32))
    for tile in (32, 64, 128, 256):
        Upscaler(watched, 2, tile, 8)(image)
    assert max(sizes) == 3 * 16 * 64**2


def test_progress_counts_the_tiles(net):
    seen = []
    image = Image(np.zeros((100, 64, 3), np.float32))
    Upscaler(net, 2)(image, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (2, 2)


# What is said before anything is tried.


def refused(run, tmp_path, *argv, **options):
    before = sorted(tmp_path.rglob('*'))
    status, out, err = run(*argv, **options)
    assert (status, out, len(err)) == (2, [], 1)
    assert sorted(tmp_path.rglob('*')) == before, 'nothing is made'
    return err[0]


@pytest.mark.slow
def test_weights_that_do_not_do(run, tmp_path):
    image, out = write(tmp_path / 'a.png'), tmp_path / 'out'
    assert 'none.pth' in refused(run, tmp_path, image, '-o', out, weights=tmp_path / 'none.pth')
    assert 'a.png' in refused(run, tmp_path, image, '-o', out, weights=image)
    torch.save({'params': {'conv.weight': torch.zeros(3)}}, tmp_path / 'other.pth')
    assert 'other.pth' in refused(run, tmp_path, image, '-o', out, weights=tmp_path / 'other.pth')
    torch.save({'params': ASID(1, 1, num_feat=16, num_block=1).state_dict()}, tmp_path / 'y.pth')
    assert 'y.pth' in refused(run, tmp_path, image, '-o', out, weights=tmp_path / 'y.pth')


def test_another_scale(run, weights, tmp_path):
    image, out = write(tmp_path / 'a.png'), tmp_path / 'b.png'
    line = refused(run, tmp_path, image, '-o', out, '--scale', 4)
    assert line == f'error: --scale 4: {weights} holds a network of scale 2'
    assert run(image, '-o', out, '--scale', 2)[0] == 0


def test_inputs_that_are_not_there(run, tmp_path):
    empty = tmp_path / 'empty'
    empty.mkdir()
    assert f'{tmp_path / "x.png"}: no such file' in refused(run, tmp_path, tmp_path / 'x.png', '-o', tmp_path / 'o')
    assert f'{empty}: no images' in refused(run, tmp_path, empty, '-o', tmp_path / 'o')
    assert 'no images' in refused(run, tmp_path, write(tmp_path / 'a.png'), empty, '-o', tmp_path / 'o')


@pytest.mark.parametrize('tiles', [(16, 16), (24, 24), (64, -1), (-1, 0)])
def test_impossible_tiles(run, tmp_path, tiles):
    tile, overlap = tiles
    line = refused(
        run, tmp_path, write(tmp_path / 'a.png'), '-o', tmp_path / 'o', f'--tile={tile}', f'--tile-overlap={overlap}'
    )
    assert f'--tile {tile} --tile-overlap {overlap}' in line


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a CUDA device')
def test_no_cuda(run, tmp_path):
    line = refused(run, tmp_path, write(tmp_path / 'a.png'), '-o', tmp_path / 'o', '--device', 'cuda')
    assert 'no CUDA device' in line


def test_an_output_that_cannot_be_a_folder(run, tmp_path):
    (tmp_path / 'file').touch()
    line = refused(run, tmp_path, write(tmp_path / 'a.png'), '-o', tmp_path / 'file')
    assert str(tmp_path / 'file') in line


# Which file becomes which.


@pytest.fixture
def folder(tmp_path):
    for name in ('b.png', 'a.jpg'):
        write(tmp_path / 'in' / name)
    return tmp_path / 'in'


def test_one_file_goes_to_a_file_or_into_a_folder(folder, tmp_path):
    image = folder / 'a.jpg'
    assert plan([image], Path('x.TIF')) == {image: Path('x.TIF')}
    assert plan([image], Path('x')) == {image: Path('x/a.png')}
    assert plan([image], Path('v1.2'), 'webp') == {image: Path('v1.2/a.webp')}
    (tmp_path / 'folder.png').mkdir()
    assert plan([image], tmp_path / 'folder.png') == {image: tmp_path / 'folder.png/a.png'}


def test_folders_are_sorted_and_no_file_comes_twice(folder):
    out = Path('out')
    assert list(plan([folder], out).items()) == [(folder / 'a.jpg', out / 'a.png'), (folder / 'b.png', out / 'b.png')]
    assert list(plan([folder / 'b.png', folder], out)) == [folder / 'b.png', folder / 'a.jpg']


def test_names_without_a_known_suffix_get_one(folder):
    image = (folder / 'b.png').rename(folder / 'scan.1')
    for ext in ('png', 'keep'):
        assert plan([image], Path('out'), ext) == {image: Path('out/scan.1.png')}


def test_a_file_name_for_several_images_is_refused(folder):
    for inputs in ([folder], sorted(folder.iterdir())):
        with pytest.raises(UsageError, match=r'x\.png names one image'):
            plan(inputs, Path('x.png'))


def test_formats_that_are_not_written_are_refused(folder):
    with pytest.raises(UsageError, match=r'x\.gif: \.gif is not written, only \.png'):
        plan([folder / 'a.jpg'], Path('x.gif'))


def test_two_images_never_share_an_output(folder, tmp_path):
    write(folder / 'a.webp')
    with pytest.raises(UsageError, match=r'a\.jpg and .*a\.webp would both become out.a\.png; try --ext keep'):
        plan([folder], Path('out'))
    assert len(plan([folder], Path('out'), 'keep')) == 3
    with pytest.raises(UsageError, match='would both become'):
        plan([folder / 'b.png', write(tmp_path / 'other' / 'b.png')], Path('out'))


def test_an_input_is_never_overwritten(folder, tmp_path):
    with pytest.raises(UsageError, match=r'b\.png is an input'):
        plan([folder], folder)
    with pytest.raises(UsageError, match='is an input'):
        plan([folder / 'b.png'], folder / '..' / 'in' / 'b.png')
    with pytest.raises(UsageError, match='is an input'):  # the output of one is the other
        plan([write(folder / 'c' / 'b.bmp'), folder / 'b.png'], folder, 'png')
    os.link(folder / 'b.png', tmp_path / 'linked.png')
    (tmp_path / 'symbolic.png').symlink_to(folder / 'b.png')
    for name in ('linked.png', 'symbolic.png'):
        with pytest.raises(UsageError, match='is an input'):
            plan([folder / 'b.png'], tmp_path / name)
    assert plan([folder / 'a.jpg'], folder) == {folder / 'a.jpg': folder / 'a.png'}


# As a person runs it.


def command(*argv):
    return [sys.executable, '-m', 'asid_plugin', 'upscale', *map(str, argv)]


@pytest.mark.slow
def test_the_command(folder, weights, tmp_path):
    (folder / 'c.png').write_bytes(b'broken')
    out = tmp_path / 'out'
    done = subprocess.run(command(folder, '-o', out, '--weights', weights), capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines() == [
        f'{folder / name}.{suffix} (24x20) -> {out / name}.png (48x40)' for name, suffix in (('a', 'jpg'), ('b', 'png'))
    ]
    assert done.stderr.splitlines()[-1] == '1 of 3 images failed' and f'error: {folder / "c.png"}: ' in done.stderr
    assert names(out) == ['a.png', 'b.png']


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == 'win32', reason='signals')
def test_ctrl_c_leaves_whole_files_only(folder, weights, tmp_path):
    pixels = RNG.integers(0, 256, (3000, 3000, 3), dtype=np.uint8)
    write(folder / 'c.bmp', pixels)
    out = tmp_path / 'out'
    process = subprocess.Popen(
        command(folder, '-o', out, '--weights', weights),
        stderr=subprocess.PIPE,
        text=True,
        stdout=subprocess.PIPE,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
    )
    deadline = time.monotonic() + 60
    while not (out / 'b.png').exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)  # the third image takes much longer
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err.splitlines()[-1] == 'interrupted; what was written is whole'
    assert names(out) == ['a.png', 'b.png']
    assert read_image(out / 'b.png').rgb.shape == (40, 48, 3)
    shutil.rmtree(folder)


def test_a_mistyped_backend_is_refused(weights):
    with pytest.raises(UsageError, match='--backend onnx: should be torch or onnxruntime'):
        load_upscaler(weights, backend='onnx')
