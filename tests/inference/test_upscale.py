"""`asid upscale`: the pixels, the kinds of images, and everything that can go wrong."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import cv2
import numpy as np
import PIL.Image
import PIL.ImageCms
import pytest
import tifffile
import torch

import fresh
import helpers
from asid_plugin.archs import ASID
from asid_plugin.errors import UsageError
from asid_plugin.images import Image, ImageError, Metadata, read_frames, read_header, read_image
from asid_plugin.inference import Upscaler, load_upscaler, survey, upscale_file
from asid_plugin.inference.tiling import Windows, tiled

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (20, 24, 3), dtype=np.uint8)
ALPHA = cv2.GaussianBlur(RNG.integers(0, 256, (20, 24), dtype=np.uint8), (0, 0), 2)
HOW_MUCH = re.compile(r'[\d,]+ images?, (under )?[\d,.]+ megapixels, [\d,]+ tiles?(, shared by \d+ processes)?')


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
    """Run the command with weights; gives the exit status, the lines of stdout and those of stderr.

    The line that says how much there is to do, which comes with each run, is left away.
    """

    def run(*argv, weights=weights):
        status = helpers.command('upscale')([*argv, *(['--weights', str(weights)] if weights else [])])
        out, err = capsys.readouterr()
        return status, out.splitlines(), [line for line in err.splitlines() if not HOW_MUCH.fullmatch(line)]

    return run


def write(path, pixels=RGB):
    """Write pixels given as RGB(A) or grey."""
    path.parent.mkdir(exist_ok=True)
    order = {2: None, 3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}[pixels.shape[2] if pixels.ndim == 3 else 2]
    path.write_bytes(cv2.imencode(path.suffix, pixels if order is None else cv2.cvtColor(pixels, order))[1].tobytes())
    return path


def flush(net, tile=64, overlap=24):
    """The network as the command runs it: by tiles of whole windows that fade into each other."""
    return lambda lq: tiled(net, lq, 2, tile, overlap, feather=True, windows=Windows(8))


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
    want = expected(pixels, flush(net))
    np.testing.assert_array_equal(np.asarray(PIL.Image.open(tmp_path / 'b.png')), want)
    assert np.abs(want - expected(pixels, net)).max() > 0, 'tiles and the whole image differ, else this shows nothing'


def test_tile_size_and_whole_image(run, net, tmp_path):
    image = write(tmp_path / 'a.png')
    run(image, '-o', tmp_path / 'tiled.png', '--tile', 16, '--tile-overlap', 5)
    run(image, '-o', tmp_path / 'whole.png', '--tile', 0)
    want = expected(RGB, flush(net, 16, 5))
    np.testing.assert_array_equal(np.asarray(PIL.Image.open(tmp_path / 'tiled.png')), want)
    np.testing.assert_array_equal(np.asarray(PIL.Image.open(tmp_path / 'whole.png')), expected(RGB, flush(net, None)))


def test_zeros_at_the_borders_as_in_the_paper(run, net, tmp_path):
    """By choice; the default differs from it at the right and bottom."""
    image = write(tmp_path / 'a.png')
    for tile, want in ((0, net), (16, lambda lq: tiled(net, lq, 2, 16, 5, feather=True))):
        assert run(image, '-o', tmp_path / 'b.png', '--borders', 'zeros', '--tile', tile, '--tile-overlap', 5)[0] == 0
        np.testing.assert_array_equal(np.asarray(PIL.Image.open(tmp_path / 'b.png')), expected(RGB, want))
    assert np.abs(expected(RGB, net) - expected(RGB, flush(net))).max() > 0


def test_mistyped_borders_are_refused(weights):
    with pytest.raises(UsageError, match='--borders zero: should be flush or zeros'):
        load_upscaler(weights, borders='zero')


def test_16_bits_stay_16(run, net, tmp_path):
    pixels = RNG.integers(0, 65536, (20, 24, 3), dtype=np.uint16)
    for suffix in ('png', 'tif'):
        assert run(write(tmp_path / f'a.{suffix}', pixels), '-o', tmp_path / f'b.{suffix}')[0] == 0
        got = cv2.imread(str(tmp_path / f'b.{suffix}'), cv2.IMREAD_UNCHANGED)
        assert got.dtype == np.uint16
        np.testing.assert_array_equal(got[..., ::-1], expected(pixels, flush(net), bits=16))


def test_grey_stays_grey(run, net, tmp_path):
    grey = RGB[..., 0].copy()
    assert run(write(tmp_path / 'a.png', grey), '-o', tmp_path / 'b.png')[0] == 0
    got = cv2.imread(str(tmp_path / 'b.png'), cv2.IMREAD_UNCHANGED)
    luma = expected(np.repeat(grey[..., None], 3, axis=2), flush(net)) @ [0.299, 0.587, 0.114]
    assert got.shape == (40, 48) and np.abs(got - luma).max() <= 1


@pytest.mark.parametrize('suffix', ['.png', '.tif', '.webp'])
def test_alpha_is_kept_and_enlarged(run, net, tmp_path, suffix):
    image = write(tmp_path / f'a{suffix}', np.dstack([RGB, ALPHA]))
    status, _, err = run(image, '-o', tmp_path / f'b{suffix}')
    assert (status, err) == (0, [])
    got = read_image(tmp_path / f'b{suffix}')
    np.testing.assert_array_equal(np.rint(got.rgb * 255), expected(RGB, flush(net)))
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
        assert file.size == (40, 48) and file.getexif().get(0x112, 1) == 1


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
    left = '2 files (1 .txt, 1 hidden), 1 folder (--recursive includes it)'
    assert (status, err, len(out)) == (0, [f'note: {folder}: skipped {left}'], 3)
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
    empty, broken, summary = [line for line in err if 'Corrupt JPEG' not in line]
    assert broken.startswith(f'error: {folder / "b.jpg"}: damaged')
    assert (empty, summary) == (f'error: {folder / "d.png"}: the file is empty', '2 of 5 images failed')
    assert names(tmp_path / 'out') == ['a.png', 'c.png', 'e.png']


def test_too_large_for_the_format_is_said_before_the_work(run, tmp_path):
    image = write(tmp_path / 'a.png', np.zeros((1, 8192), np.uint8))
    status, _, err = run(image, '-o', tmp_path / 'b.webp')
    assert status == 1 and 'b.webp: 16384x2 is too large: WebP allows 16383 pixels a side' in err[0]


def test_output_that_is_not_finite_is_not_written(run, net, tmp_path):
    state_dict = net.state_dict()
    state_dict['conv_up.bias'] = torch.full_like(state_dict['conv_up.bias'], float('nan'))
    torch.save({'params': state_dict}, tmp_path / 'nan.pth')
    status, _, err = run(write(tmp_path / 'a.png'), '-o', tmp_path / 'b.png', weights=tmp_path / 'nan.pth')
    assert status == 1 and 'not finite' in err[0] and not (tmp_path / 'b.png').exists()


def test_half_is_finite_and_close(run, net, tmp_path):
    image = write(tmp_path / 'a.png')
    assert run(image, '-o', tmp_path / 'b.png', '--half', '--device', 'cpu')[0] == 0
    error = np.abs(np.asarray(PIL.Image.open(tmp_path / 'b.png')) - expected(RGB, flush(net)))
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


# Many files, and how they are written.


@pytest.fixture
def folder(tmp_path):
    for name in ('b.png', 'a.jpg'):
        write(tmp_path / 'in' / name)
    return tmp_path / 'in'


def refused(run, tmp_path, *argv, **options):
    before = sorted(tmp_path.rglob('*'))
    status, out, err = run(*argv, **options)
    assert (status, out, len(err)) == (2, [], 1)
    assert sorted(tmp_path.rglob('*')) == before, 'nothing is made'
    return err[0]


def test_how_much_there_is_to_do_is_said_first(folder, weights, tmp_path, capsys):
    write(folder / 'c.png', np.zeros((1200, 1000), np.uint8))
    write(folder / 'd.png').write_bytes(b'not counted, as it cannot be read')
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'c.png').touch()
    argv = [folder, '-o', tmp_path / 'out', '--weights', weights]
    helpers.command('upscale')([*argv, '--skip-existing'])
    assert capsys.readouterr().err.splitlines()[0] == '2 images, under 0.001 megapixels, 4 tiles'


def test_limits_are_said_before_the_work_and_the_others_go_on(run, tmp_path):
    folder = tmp_path / 'in'
    write(folder / 'a.png')
    write(folder / 'z.png', np.zeros((1, 8192), np.uint8))
    write(folder / 'zz.png', np.zeros((1, 8192), np.uint8))
    status, out, err = run(folder, '-o', tmp_path / 'out', '--ext', 'webp')
    assert (status, len(out)) == (1, 1) and names(tmp_path / 'out') == ['a.webp']
    limit = '16384x2 is too large: WebP allows 16383 pixels a side'
    assert err == [
        *(f'error: {folder / name}.png: {tmp_path / "out" / name}.webp: {limit}' for name in ('z', 'zz')),
        '2 of 3 images failed',
    ]


def test_folders_inside_folders_are_written_to_the_same_ones(run, folder, tmp_path):
    write(folder / 'c' / 'd.webp')
    (folder / 'notes.txt').touch()
    out = folder / 'results'
    for number in (3, 3):  # the second time, there is an OUT inside
        status, lines, err = run(folder, '-o', out, '--recursive')
        assert (status, len(lines), err) == (0, number, [f'note: {folder}: skipped 1 file (1 .txt)'])
    written = sorted(path.relative_to(out).as_posix() for path in out.rglob('*.*'))
    assert written == ['a.png', 'b.png', 'c/d.png']


def test_images_of_one_name_are_both_written(run, tmp_path):
    folder, out = tmp_path / 'in', tmp_path / 'out'
    write(folder / 'grey.png', np.full((16, 16), 50, np.uint8))
    write(folder / 'grey.jpg', np.full((24, 24), 200, np.uint8))
    assert run(folder, '-o', out, '--suffix', '_x2')[0] == 0
    assert read_image(out / 'grey_png_x2.png').height == 32 and read_image(out / 'grey_jpg_x2.png').height == 48


@pytest.mark.slow
def test_what_is_there_is_left(run, folder, tmp_path):
    out = tmp_path / 'out'
    assert run(folder / 'a.jpg', '-o', out)[0] == 0
    before = (out / 'a.png').stat()
    status, lines, err = run(folder, '-o', out, '--skip-existing')
    assert (status, len(lines), err) == (0, 1, ['1 of 2 images existed and were skipped'])
    assert run(folder, '-o', out, '--skip-existing')[1:] == ([], ['2 of 2 images existed and were skipped'])
    assert (out / 'a.png').stat() == before
    assert len(run(folder, '-o', out)[1]) == 2 and (out / 'a.png').stat() != before


def test_what_a_kill_left_in_out_is_removed(run, folder, tmp_path):
    gone = subprocess.Popen([sys.executable, '-c', ''])
    gone.wait()
    running = f'.unfinished_{socket.gethostname()}_{os.getpid()}_x'
    others = '.unfinished_another-machine_1_x'
    for name in (f'.unfinished_{socket.gethostname()}_{gone.pid}_x', running, others):
        (tmp_path / 'out' / name).mkdir(parents=True)
        (tmp_path / 'out' / name / 'a.png').write_bytes(b'half')
    assert run(folder, '-o', tmp_path / 'out')[0] == 0
    assert names(tmp_path / 'out') == sorted([running, others, 'a.png', 'b.png'])


@pytest.mark.slow
def test_quality_is_jpegs(run, tmp_path):
    image = write(tmp_path / 'a.png')
    sizes = {}
    for quality in (1, 50, 95, 100, None):
        out = tmp_path / f'{quality}.jpg'
        assert run(image, '-o', out, *([] if quality is None else ['--quality', quality]))[0] == 0
        sizes[quality] = out.stat().st_size
    assert sizes[1] < sizes[50] < sizes[95] < sizes[100] and sizes[None] == sizes[95]
    for quality in (0, 101, -5):
        line = refused(run, tmp_path, image, '-o', tmp_path / 'b.jpg', f'--quality={quality}')
        assert line == f'error: --quality {quality}: should be from 1 to 100'


def described(path):
    """An image with metadata of all kinds, as a JPEG."""
    exif = PIL.Image.Exif()
    exif[0x8298] = 'Somebody'  # copyright
    profile = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile('sRGB')).tobytes()
    keywords = {'exif': exif, 'icc_profile': profile, 'comment': 'from a journey', 'xmp': b'<x:xmpmeta/>'}
    PIL.Image.fromarray(RGB).save(path, dpi=(300, 300), **keywords)
    return path


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'tif', 'webp'])
def test_metadata_are_kept_or_stripped(run, tmp_path, suffix):
    image = described(tmp_path / 'a.jpg')
    before = read_image(image).metadata
    assert before.exif and before.xmp and before.dpi and before.text and before.profile
    assert run(image, '-o', tmp_path / f'kept.{suffix}')[0] == 0
    kept = read_image(tmp_path / f'kept.{suffix}').metadata
    assert kept.profile == before.profile and b'Somebody' in kept.exif and kept.xmp == before.xmp
    assert run(image, '-o', tmp_path / f'stripped.{suffix}', '--strip-metadata')[::2] == (0, [])
    assert read_image(tmp_path / f'stripped.{suffix}').metadata == Metadata(before.profile)


# Animations and pages.


def frames(path, number=3, size=(20, 24), **keywords):
    pictures = [PIL.Image.fromarray(RNG.integers(0, 256, (*size, 3), dtype=np.uint8)) for _ in range(number)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], **keywords)
    return path


@pytest.mark.slow
@pytest.mark.parametrize('suffix', ['png', 'webp', 'tif'])
def test_animations_are_enlarged_frame_by_frame(run, tmp_path, suffix):
    image = frames(tmp_path / 'a.gif', duration=[40, 80, 120], loop=2)
    out = tmp_path / f'b.{suffix}'
    status, lines, _ = run(image, '-o', out)
    assert (status, lines) == (0, [f'{image} (24x20, 3 frames) -> {out} (48x40, 3 frames)'])
    header, written = read_header(out), list(read_frames(out))
    assert header.num_frames == 3 and all(frame.pixels.shape[:2] == (40, 48) for frame in written)
    if suffix != 'tif':
        assert (header.animated, header.loop) == (True, 3), 'shown once and looped twice'
        assert [frame.duration for frame in written] == [40, 80, 120]
    for number, frame in enumerate(read_frames(image)):
        PIL.Image.fromarray(frame.pixels).save(tmp_path / f'{number}.png')
        assert run(tmp_path / f'{number}.png', '-o', tmp_path / f'{number}_x2.png')[0] == 0
        alone = read_image(tmp_path / f'{number}_x2.png').pixels[..., :3]
        np.testing.assert_array_equal(written[number].pixels[..., :3], alone)


def test_pages_stay_pages_in_tiff(run, tmp_path):
    image = frames(tmp_path / 'a.tif', 2)
    assert run(image, '-o', tmp_path / 'b.tiff')[0] == 0
    header = read_header(tmp_path / 'b.tiff')
    assert (header.num_frames, header.animated, header.height) == (2, False, 40)


@pytest.mark.parametrize(
    ('name', 'suffix', 'said'),
    [
        ('a.gif', 'jpg', 'a.gif has 3 frames; JPEG holds one, so only the first is written'),
        ('a.gif', 'bmp', 'a.gif has 3 frames; BMP holds one, so only the first is written'),
        ('a.tif', 'png', 'a.tif has 3 pages; PNG holds one, so only the first is written'),
        ('a.tif', 'webp', 'a.tif has 3 pages; WebP holds one, so only the first is written'),
    ],
)
def test_frames_that_the_output_cannot_hold_are_said(run, tmp_path, name, suffix, said):
    image = frames(tmp_path / name)
    out = tmp_path / f'b.{suffix}'
    status, _, err = run(image, '-o', out)
    assert (status, err) == (0, [f'note: {out}: {said}'])
    assert read_header(out).num_frames == 1


def test_tiles_and_progress_are_those_of_all_frames(net, tmp_path):
    image, seen = frames(tmp_path / 'a.gif', size=(100, 60)), []
    upscaler = Upscaler(net, 2, windows=Windows(net.window_size))
    [job] = survey({image: tmp_path / 'b.png'}, upscaler)
    assert (job.pixels, job.tiles) == (3 * 100 * 60, 3 * upscaler.work(100, 60)[0])
    upscale_file(image, tmp_path / 'b.png', upscaler, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (job.tiles, job.tiles) and seen == sorted(seen)


@pytest.mark.slow
def test_pages_of_different_sizes_count_by_their_own(net, tmp_path):
    image, seen = tmp_path / 'a.tif', []
    sizes = [(20, 24), (150, 100), (60, 130)]
    with tifffile.TiffWriter(image) as tiff:
        for height, width in sizes[:2]:
            tiff.write(np.zeros((height, width), np.uint8), photometric='minisblack')
        turned = [(274, 'H', 1, 6, True)]  # the orientation: stored lying on its side
        tiff.write(np.zeros((130, 60), np.uint8), photometric='minisblack', extratags=turned)
    assert read_header(image).sizes == tuple(sizes)
    upscaler = Upscaler(net, 2, windows=Windows(net.window_size))
    jobs = survey({image: tmp_path / 'b.tif'}, upscaler) + survey({image: tmp_path / 'b.png'}, upscaler)
    work = [upscaler.work(*size) for size in sizes]
    tiles = sum(number for number, _ in work)
    assert [(job.pixels, job.tiles, job.work) for job in jobs] == [
        (20 * 24 + 150 * 100 + 60 * 130, tiles, sum(pixels for _, pixels in work)),
        (20 * 24, *work[0]),
    ]
    upscale_file(image, tmp_path / 'b.tif', upscaler, lambda *counts: seen.append(counts))
    assert [frame.pixels.shape[:2] for frame in read_frames(tmp_path / 'b.tif')] == [(2 * h, 2 * w) for h, w in sizes]
    assert seen == sorted(seen) and seen[-1] == (tiles, tiles)
    assert {total for _, total in seen} == {tiles}


def test_the_tiles_that_are_told_are_those_that_are_run(net):
    for size in ((1, 1), (20, 300), (64, 64), (65, 70), (150, 97)):
        for tile in (64, 0):
            sizes, done = [], []

            def watched(lq, sizes=sizes):
                sizes.extend([lq.shape[2] * lq.shape[3]] * len(lq))
                return lq.repeat_interleave(2, 2).repeat_interleave(2, 3)

            upscaler = Upscaler(watched, 2, tile, windows=Windows(8))
            upscaler(Image(np.zeros((*size, 3), np.uint8)), lambda *counts, done=done: done.append(counts))
            tiles, pixels = upscaler.work(*size)
            assert done[-1] == (tiles, tiles) and len(sizes) == tiles
            assert pixels == sum(sizes) or min(size) < 16


# What is said before anything is tried.


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
    assert (f'--tile {tile} --tile-overlap {overlap}' if tile > 0 else f'--tile {tile}: ') in line


def test_no_cuda(run, tmp_path):
    line = refused(run, tmp_path, write(tmp_path / 'a.png'), '-o', tmp_path / 'o', '--device', 'cuda')
    assert 'no CUDA device' in line


def test_an_output_that_cannot_be_a_folder(run, tmp_path):
    (tmp_path / 'file').touch()
    line = refused(run, tmp_path, write(tmp_path / 'a.png'), '-o', tmp_path / 'file')
    assert str(tmp_path / 'file') in line


# As a person runs it.


def command(*argv):
    return ['-m', 'asid_plugin', 'upscale', *map(str, argv)]


@pytest.mark.slow
def test_the_command(folder, weights, tmp_path):
    (folder / 'c.png').write_bytes(b'broken')
    out = tmp_path / 'out'
    done = fresh.run(command(folder, '-o', out, '--weights', weights))
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines() == [
        f'{folder / name}.{suffix} (24x20) -> {out / name}.png (48x40)' for name, suffix in (('a', 'jpg'), ('b', 'png'))
    ]
    assert done.stderr.splitlines()[-1] == '1 of 3 images failed' and f'error: {folder / "c.png"}: ' in done.stderr
    assert names(out) == ['a.png', 'b.png']


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == 'win32', reason='pipes')
@pytest.mark.parametrize('both', [False, True], ids=['stdout', 'stdout and stderr'])
def test_a_closed_pipe_behind_the_command_costs_no_image(folder, weights, tmp_path, both):
    reader, writer = os.pipe()
    os.close(reader)
    out = tmp_path / 'out'
    argv = command(folder, '-o', out, '--weights', weights)
    done = fresh.Fresh(argv, stdout=writer, stderr=writer if both else None).communicate()
    os.close(writer)
    assert done.returncode == 0, done.stderr
    assert names(out) == ['a.png', 'b.png']


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='peak memory has other units')
@pytest.mark.parametrize('suffix', ['png', 'tif'])
def test_large_images_go_through_in_strips(tmp_path, suffix):
    """6 megapixels become 24, which as float32 would be 288 MB; the process grows by the image and some strips."""
    write(tmp_path / 'a.bmp', np.broadcast_to(np.uint8(100), (2000, 3000, 3)))
    code = f"""
import resource, sys
from pathlib import Path
from asid_plugin.inference import Upscaler, upscale_file
from asid_plugin.inference.tiling import Windows

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

upscaler = Upscaler(lambda lq: lq.repeat_interleave(2, 2).repeat_interleave(2, 3), 2, windows=Windows(8))
upscale_file(Path('small.png'), Path('b.{suffix}'), upscaler)
before = peak()
upscale_file(Path('a.bmp'), Path('b.{suffix}'), upscaler)
print(peak() - before)
"""
    write(tmp_path / 'small.png')
    done = fresh.run(['-c', code], tmp_path)
    assert done.returncode == 0, done.stderr
    assert read_header(tmp_path / f'b.{suffix}').width == 6000
    assert float(done.stdout) < 150, done.stdout


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == 'win32', reason='signals')
def test_ctrl_c_leaves_whole_files_only(folder, weights, tmp_path):
    pixels = RNG.integers(0, 256, (3000, 3000, 3), dtype=np.uint8)
    write(folder / 'c.bmp', pixels)
    out = tmp_path / 'out'
    process = fresh.Fresh(command(folder, '-o', out, '--weights', weights))
    deadline = time.monotonic() + 60
    while not (out / 'b.png').exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)  # the third image takes much longer
    os.kill(process.pid, signal.SIGINT)
    done = process.communicate(60)
    assert done.returncode == 130, done.stderr
    assert done.stderr.splitlines()[-1] == 'interrupted; all written files are complete'
    assert names(out) == ['a.png', 'b.png']
    assert read_image(out / 'b.png').rgb.shape == (40, 48, 3)
    shutil.rmtree(folder)


def test_a_mistyped_backend_is_refused(weights):
    with pytest.raises(UsageError, match='--backend onnx: should be torch or onnxruntime'):
        load_upscaler(weights, backend='onnx')
