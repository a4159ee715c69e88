"""`asid export --format web`: the page in a real headless Chromium, against `asid upscale`."""

import base64
import http.server
import io
import json
import os
import re
import shutil
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest
import skimage.data
import torch

from asid_plugin import evaluate, export
from asid_plugin.archs import ASID
from asid_plugin.evaluate.protocol import bicubic
from asid_plugin.export import subject, web, web_runtime
from asid_plugin.inference.tiling import Windows, ramp, spans
from helpers import command

for package in ('onnx', 'onnxruntime', 'onnxscript', 'selenium'):
    pytest.importorskip(package)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(torch.__version__ < torch.torch_version.TorchVersion('2.9'), reason='exporting needs torch 2.9'),
]

from selenium.common.exceptions import TimeoutException  # noqa: E402
from selenium.webdriver import Chrome  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.wait import WebDriverWait  # noqa: E402

WAIT = 90  # seconds, at most; the machine may be busy
SMALL = {'num_feat': 16, 'num_block': 1, 'sharing': 'none', 'distillation': False, 'channel_split': False}
PAGE, SLIDER = Path(export.__file__).parent / 'page', Path(evaluate.__file__).parent
ISOLATION = {'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp'}
LIMIT = 'Pictures of up to 16.8 megapixels and 8192 pixels a side are accepted.'
rng = np.random.default_rng(0)


@pytest.fixture(scope='module')
def weights(exported: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copy(exported.folder / 'asid.pth', tmp_path_factory.mktemp('web')))


@pytest.fixture(scope='module')
def folder(exported: SimpleNamespace, weights: Path) -> Path:
    """The page, as the command writes it with the runtime that npm fetches and an ONNX file that is there already."""
    if not shutil.which('npm'):
        pytest.skip('npm is not installed (Debian: apt-get install npm)')
    try:
        web.copy_runtime(weights.parent)
    except export.ExportError as error:
        if 'npm pack' not in str(error):
            raise
        pytest.skip(f'ONNX Runtime Web cannot be fetched: {error}')
    for name in web_runtime.RUNTIME_FILES:  # as the unpacked package has them
        (weights.parent / name.replace('.mjs', '.js')).rename(weights.parent / name)
    folder = weights.parent / 'page'
    argv = [str(weights), '-o', str(folder), '--format', 'web', '--runtime', str(weights.parent)]
    with pytest.MonkeyPatch.context() as patch:
        copy = lambda _, path: shutil.copy(exported.folder / 'asid.onnx', path)  # noqa: E731
        patch.setitem(export.EXPORT_FORMATS, 'onnx', replace(export.EXPORT_FORMATS['onnx'], write=copy))
        assert command('export')(argv) == 0
    return folder


@contextmanager
def served(folder: Path, headers: dict[str, str]) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """The address of a folder on a plain web server, and a list that grows by (request line, status)."""
    answered = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            for name, value in headers.items():
                self.send_header(name, value)
            super().end_headers()

        def log_request(self, code='-', size='-') -> None:
            answered.append((self.path, int(code)))

    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), partial(Handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_address[1]}/', answered
        server.shutdown()


@pytest.fixture(scope='module')
def address(folder: Path) -> Iterator[str]:
    with served(folder, {}) as (address, answered):
        yield address
        assert {path for path, status in answered if status not in (200, 304)} == set()


@pytest.fixture
def page(chromium: Chrome, address: str) -> Iterator[Chrome]:
    """The page, freshly loaded; afterwards, it must have logged no error."""
    yield from opened(chromium, address)


def opened(chromium: Chrome, address: str) -> Iterator[Chrome]:
    for kind in ('browser', 'performance'):
        chromium.get_log(kind)
    chromium.get(address)
    eventually(chromium, lambda: at(chromium, 'main').is_displayed())
    yield chromium
    logged = [entry['message'] for entry in chromium.get_log('browser')]
    assert [message for message in logged if not message.endswith(' - No available adapters.')] == []  # of WebGPU


def eventually(page: Chrome, condition: Callable[[], object]) -> None:
    WebDriverWait(page, WAIT, poll_frequency=0.1).until(lambda _: condition())


def at(page: Chrome, name: str):
    return page.find_element(By.ID, name)


def choose(page: Chrome, path: Path) -> None:
    at(page, 'file').send_keys(str(path))


def says(page: Chrome, pattern: str) -> str:
    """Wait until the status is as the pattern has it."""
    try:
        eventually(page, lambda: re.fullmatch(pattern, at(page, 'status').text))
    except TimeoutException:
        pytest.fail(f'the page says {at(page, "status").text!r}, not {pattern!r}')
    return at(page, 'status').text


def enlarged(page: Chrome, path: Path, downloads: Path) -> Path:
    """Have a picture enlarged, and download it."""
    choose(page, path)
    says(page, rf'{re.escape(path.stem)}_x2\.png: .* by the processor, \d+ threads?\.')
    page.execute_cdp_cmd('Browser.setDownloadBehavior', {'behavior': 'allow', 'downloadPath': str(downloads)})
    at(page, 'download').click()
    target = downloads / f'{path.stem}_x2.png'
    eventually(page, target.is_file)
    return target


def upscaled(path: Path, weights: Path) -> np.ndarray:
    target = path.with_name('expected.png')
    assert command('upscale')([str(path), '-o', str(target), '--weights', str(weights), '--device', 'cpu']) == 0
    return np.asarray(PIL.Image.open(target))


def photograph(height: int, width: int) -> np.ndarray:
    return skimage.data.astronaut()[20 : 20 + height, 150 : 150 + width]


def translucent(height: int, width: int) -> np.ndarray:
    """A photograph with all degrees of alpha, and a hole in which noise is hidden."""
    alpha = np.broadcast_to(np.linspace(1, 255, width).astype(np.uint8), (height, width)).copy()
    alpha[5:15, 8:25] = 0
    pixels = np.dstack([photograph(height, width), alpha])
    pixels[alpha == 0, :3] = rng.integers(0, 256, (170, 3))
    return pixels


PICTURES = {
    'tiles': photograph(70, 105),
    'narrow': photograph(90, 21),
    'dot': photograph(1, 1),
    'grey': photograph(30, 45)[..., 1],
    'alpha': translucent(30, 45),
    'grey and alpha': translucent(20, 30)[..., [1, 3]],
}


@pytest.mark.parametrize('name', PICTURES)
def test_the_download_is_what_upscale_writes(page: Chrome, weights: Path, tmp_path: Path, name: str):
    path = tmp_path / f'{name}.png'
    PIL.Image.fromarray(PICTURES[name]).save(path)
    target = enlarged(page, path, tmp_path)
    got, want = np.asarray(PIL.Image.open(target)).astype(int), upscaled(path, weights).astype(int)
    assert got.shape == want.shape
    off = np.abs(got - want)
    print(f'{name}: {got.shape}, {np.count_nonzero(off)} of {off.size} values are off, by {off.max()} at most')
    assert off.max() <= 1 and np.count_nonzero(off) <= 0.01 * off.size


def test_the_other_half_of_the_slider_is_bicubic_interpolation(page: Chrome, tmp_path: Path):
    """MATLAB's, but for the borders, which are replicated."""
    lq = photograph(40, 60)
    PIL.Image.fromarray(lq).save(tmp_path / 'a.png')
    enlarged(page, tmp_path / 'a.png', tmp_path)
    encoded = page.execute_script('return document.getElementById("before").toDataURL()').partition(',')[2]
    got = np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(encoded))).convert('RGB'))[4:-4, 4:-4]
    off = np.abs(got.astype(int) - bicubic(lq, 2)[4:-4, 4:-4])
    assert off.max() <= 1 and np.count_nonzero(off) <= 0.01 * off.size


def test_a_photograph_is_turned_as_its_exif_says(page: Chrome, weights: Path, tmp_path: Path):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    PIL.Image.fromarray(photograph(24, 40)).save(tmp_path / 'a.jpg', exif=exif, quality=100, subsampling=0)
    got = np.asarray(PIL.Image.open(enlarged(page, tmp_path / 'a.jpg', tmp_path))).astype(int)
    want = upscaled(tmp_path / 'a.jpg', weights)
    assert got.shape == (80, 48, 3)
    assert np.abs(got - want).max() <= 2, 'the decoders of JPEG may differ'


def test_several_threads_where_the_server_isolates_the_page(
    chromium: Chrome, folder: Path, weights: Path, policy: str, tmp_path: Path
):
    """And binds all of its files, workers among them, by the page's policy."""
    path = tmp_path / 'a.png'
    PIL.Image.fromarray(photograph(30, 90)).save(path)
    with served(folder, ISOLATION | {'Content-Security-Policy': policy}) as (address, _):
        for page in opened(chromium, address):
            got = np.asarray(PIL.Image.open(enlarged(page, path, tmp_path))).astype(int)
            threads = min(page.execute_script('return navigator.hardwareConcurrency'), 8)
            assert f', {threads} thread' in at(page, 'status').text
    assert np.abs(got - upscaled(path, weights)).max() <= 1


def test_where_webgpu_fails_the_processor_goes_on(page: Chrome, tmp_path: Path):
    """This Chromium has no graphics processor, and hides the choice."""
    PIL.Image.fromarray(photograph(16, 16)).save(tmp_path / 'a.png')
    assert not at(page, 'by').is_displayed()
    page.execute_script("document.getElementById('device').value = 'webgpu'")
    choose(page, tmp_path / 'a.png')
    says(page, r'a_x2\.png: .* by the processor, 1 thread\. WebGPU failed \(.+\); the processor is used instead\.')
    page.get_log('browser')  # in which the runtime may have said so too


def test_progress_and_cancelling(page: Chrome, tmp_path: Path):
    PIL.Image.fromarray(rng.integers(0, 256, (800, 800, 3), np.uint8)).save(tmp_path / 'large.png')
    choose(page, tmp_path / 'large.png')
    says(page, r'large\.png: 800x800 becomes 1600x1600\.')
    progress = r'[1-9]\d* of 400 tiles, about \d+ (second|minute|hour)s? left'
    eventually(page, lambda: re.fullmatch(progress, at(page, 'left').text))
    assert at(page, 'comparison').is_displayed() and not at(page, 'result').is_displayed()
    at(page, 'cancel').send_keys(Keys.ENTER)
    assert says(page, r'Cancelled\.')
    assert not any(at(page, name).is_displayed() for name in ('running', 'result', 'comparison'))
    PIL.Image.fromarray(photograph(8, 9)).save(tmp_path / 'next.png')
    choose(page, tmp_path / 'next.png')
    says(page, r'next_x2\.png: 18x16, 1 tile in .*')


@pytest.mark.parametrize(
    ('name', 'make', 'sentence'),
    [
        (
            'text.png',
            lambda path: path.write_text('not a picture'),
            'text.png is damaged, too large, or not a picture that this browser can read.',
        ),
        (
            'long.png',
            lambda path: PIL.Image.new('L', (8193, 1)).save(path),
            f'long.png: 8193x1 is too large. {LIMIT}',
        ),
    ],
    ids=['text', 'long'],
)
def test_a_file_that_cannot_be_enlarged_is_answered_by_a_sentence(page: Chrome, tmp_path: Path, name, make, sentence):
    make(tmp_path / name)
    choose(page, tmp_path / name)
    says(page, re.escape(sentence))
    assert 'refused' in at(page, 'status').get_attribute('class') and not at(page, 'running').is_displayed()
    assert at(page, 'limit').text == f'{LIMIT} Only the first frame of an animation is enlarged.'


def test_a_dropped_picture_is_compared_by_the_slider_of_the_report(page: Chrome):
    page.execute_async_script("""
        const done = arguments[0], canvas = new OffscreenCanvas(20, 16);
        canvas.getContext('2d').fillRect(0, 0, 20, 16);
        canvas.convertToBlob().then((blob) => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([blob], 'dropped.png'));
          document.body.dispatchEvent(new DragEvent('drop', {dataTransfer, bubbles: true, cancelable: true}));
          done();
        });""")
    says(page, r'dropped_x2\.png: 40x32, .*')
    divider = page.find_element(By.CLASS_NAME, 'divider')
    divider.send_keys(Keys.HOME)
    assert divider.get_attribute('aria-valuenow') == '0'
    colour = 'return [...document.getElementById(arguments[0]).getContext("2d").getImageData(20, 16, 1, 1).data]'
    assert page.execute_script(colour, 'before') == [0, 0, 0, 255]
    assert page.execute_script(colour, 'after')[3] == 255


def test_a_phone_and_the_dark(page: Chrome, tmp_path: Path):
    PIL.Image.fromarray(photograph(10, 200)).save(tmp_path / 'a_rather_long_name_of_a_picture_without_any_spaces.png')
    phone = {'width': 360, 'height': 640, 'deviceScaleFactor': 1, 'mobile': True}
    dark = {'features': [{'name': 'prefers-color-scheme', 'value': 'dark'}]}
    page.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', phone)
    page.execute_cdp_cmd('Emulation.setEmulatedMedia', dark)
    try:
        choose(page, next(tmp_path.iterdir()))
        says(page, r'.*_x2\.png: 400x20, .*')
        assert page.execute_script('return document.documentElement.scrollWidth') == 360
        assert page.execute_script('return getComputedStyle(document.body).backgroundColor') == 'rgb(21, 23, 26)'
    finally:
        page.execute_cdp_cmd('Emulation.clearDeviceMetricsOverride', {})
        page.execute_cdp_cmd('Emulation.setEmulatedMedia', {'features': []})


def test_nothing_is_fetched_from_elsewhere_and_no_more_than_is_needed(chromium: Chrome, folder: Path, tmp_path: Path):
    PIL.Image.fromarray(photograph(9, 9)).save(tmp_path / 'a.png')
    with served(folder, {}) as (address, answered):
        for page in opened(chromium, address):
            enlarged(page, tmp_path / 'a.png', tmp_path)
            log = ''.join(entry['message'] for entry in page.get_log('performance'))
    requested = re.findall(r'"Network\.requestWillBeSent".*?"request":\{.*?"url":"(.*?)"', log)
    assert len(requested) > 5
    assert [url for url in requested if not url.startswith((address, f'blob:{address}'))] == []
    assert {status for _, status in answered} == {200}
    webgpu = {'/ort.webgpu.bundle.min.js', '/ort-wasm-simd-threaded.asyncify.wasm'}
    licenses = {'/onnxruntime-LICENSE.txt', '/onnxruntime-ThirdPartyNotices.txt'}
    index = {'/index.html', '/'}
    assert {path for path, _ in answered} | webgpu | licenses | index == {f'/{name}' for name in os.listdir(folder)} | {
        '/'
    }


@pytest.fixture(scope='module')
def policy() -> str:
    """The page's Content-Security-Policy."""
    html = (PAGE / 'index.html').read_text(encoding='utf-8')
    return ' '.join(re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1].split())


def test_the_documented_header_is_the_pages_policy(policy: str):
    page = (Path(__file__).parents[2] / 'docs/export.md').read_text(encoding='utf-8')
    [header] = re.findall('^    Content-Security-Policy: (.*)$', page, re.MULTILINE)
    assert header == f"{policy}; frame-ancestors 'none'"


def test_the_worker_is_bound_by_its_own_header_alone(chromium: Chrome, policy: str, tmp_path: Path):
    """By the HTML standard: a worker from the network takes the policy that its script is sent with."""
    shutil.copy(PAGE / 'index.html', tmp_path)
    (tmp_path / 'worker.js').write_text(
        'onmessage = ({data}) => fetch(data).then(() => postMessage(true), () => postMessage(false));'
    )
    reaches = """
        const [address, done] = arguments, worker = new Worker('worker.js');
        worker.onmessage = ({data}) => done(data);
        worker.postMessage(address);"""
    with served(tmp_path, {'Access-Control-Allow-Origin': '*'}) as (elsewhere, asked):
        for headers, expected in (({}, True), ({'Content-Security-Policy': policy}, False)):
            asked.clear()
            with served(tmp_path, headers) as (address, _):
                chromium.get(address)
                assert chromium.execute_async_script(reaches, f'{elsewhere}index.html') is expected
                assert [path for path, _ in asked] == ['/index.html'] * expected
    chromium.get_log('browser')  # in which Chromium says why


def test_only_its_own_scripts_run_on_the_page(policy: str):
    html = (PAGE / 'index.html').read_text(encoding='utf-8')
    assert policy == (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'"
    )
    assert re.findall(r'<script(?![^>]* src=)|<style| style=| on\w+=', html) == []
    assert [
        text
        for path in PAGE.iterdir()
        for text in re.findall(r'https?://(?!localhost|www\.w3\.org/2000/svg)', path.read_text())
    ] == []


def test_opened_as_a_file_it_says_that_it_cannot_work(chromium: Chrome, folder: Path):
    chromium.get((folder / 'index.html').as_uri())
    eventually(chromium, lambda: at(chromium, 'unserved').is_displayed())
    said = at(chromium, 'unserved').text
    assert said.startswith('This page needs JavaScript and a web server, and does not work from file://')
    assert not at(chromium, 'main').is_displayed()
    chromium.get_log('browser')  # in which Chromium says why


def test_tiles_are_those_of_upscale(page: Chrome):
    """Sides of 1 to 150 pixels, with several tiles, overlaps and windows."""
    cases = [
        (length, tile, overlap, window)
        for (tile, overlap), window, length in product([(64, 24), (40, 0), (17, 16)], [8, 5, 16], range(1, 151))
    ]
    got = page.execute_async_script(
        """
        const [cases, done] = arguments;
        import('./tiles.js').then(({spans, ramp, mirrored}) => done(cases.map(
          ([length, tile, overlap, window, least]) => [
            spans(length, {tile, overlap, window, least}), [...ramp(length, overlap)], mirrored(length, 2 * length)])));
        """,
        [(*case, Windows(case[-1]).least) for case in cases],
    )
    for (length, tile, overlap, window), (found, weights, places) in zip(cases, got, strict=True):
        want = spans(length, tile, overlap, Windows(window))
        assert [(start, found['side']) for start in found['starts']] == want
        assert weights == ramp(length, overlap).tolist()
        assert places == [*range(length), *reversed(range(length))]


def test_the_settings_say_what_it_is(folder: Path, weights: Path):
    settings = json.loads((folder / 'settings.json').read_text())
    metadata = export.EXPORT_FORMATS['onnx'].load(folder / 'asid.onnx').metadata
    assert settings.pop('weights_sha256') == metadata['weights_sha256']
    assert settings.pop('asid_plugin') == metadata['asid_plugin']
    tiles = {'tile': 64, 'overlap': 24, 'window': 8, 'least': 16}
    assert settings == {'model': 'asid.onnx', 'scale': 2, **tiles, 'onnxruntime-web': web_runtime.RUNTIME_VERSION}


def test_all_files_of_the_page_are_installed_and_written():
    tomllib = pytest.importorskip('tomllib')  # of Python 3.11
    project = tomllib.loads((Path(__file__).parents[2] / 'pyproject.toml').read_text(encoding='utf-8'))
    data = project['tool']['setuptools']['package-data']
    assert {path.name for path in PAGE.iterdir()} == set(web.PAGE)
    assert {path.name for glob in data['asid_plugin.export'] for path in PAGE.parent.glob(glob)} == set(web.PAGE)
    assert set(web.SLIDER) <= set(data['asid_plugin.evaluate'])


@pytest.fixture
def fails(weights: Path, tmp_path: Path, monkeypatch, capsys) -> Callable[..., str]:
    """Run the command, which must end with status 2 and write nothing; gives the one line on stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(web, 'export', lambda *_: pytest.fail('exported'))

    def fails(*argv: object) -> str:
        there = sorted(tmp_path.rglob('*'))
        assert command('export')([*map(str, argv)]) == 2
        err = capsys.readouterr().err.removeprefix(
            f'npm downloads onnxruntime-web@{web_runtime.RUNTIME_VERSION}, 33 MB\n'
        )
        assert err.startswith('error: ') and err.count('\n') == 1 and sorted(tmp_path.rglob('*')) == there
        return err[7:-1]

    return fails


def test_a_missing_package_is_named_before_the_runtime_is_fetched(fails, weights: Path, monkeypatch):
    monkeypatch.setattr(web, 'copy_runtime', lambda *_: pytest.fail('fetched'))
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    message = "onnxruntime is not installed: pip install '.[export]' in a checkout of asid_plugin"
    assert fails('--format', 'web', weights, 'new') == message


def test_a_network_that_cannot_be_exported_is_named_by_the_folder(weights: Path, tmp_path: Path, monkeypatch, capsys):
    def fails(*_arguments: object) -> None:
        raise RuntimeError('not today')

    monkeypatch.setattr(subject, 'export_any_size', fails)
    monkeypatch.setattr(web, 'copy_runtime', lambda *_: None)
    assert command('export')([weights, '-o', tmp_path / 'page', '--format', 'web']) == 2
    assert capsys.readouterr().err == f'error: {tmp_path}/page/asid.onnx: cannot be written: not today\n'
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not shutil.which('npm'), reason='needs npm')
def test_npm_reads_no_settings_of_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """They could send variables of the environment to any server."""
    monkeypatch.setenv('SECRET', 'secret')
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'package.json').write_text('{"name": "theirs", "version": "1.0.0"}')
    with served(tmp_path, {}) as (address, asked):
        (tmp_path / '.npmrc').write_text(f'registry={address}${{SECRET}}/\n')
        (tmp_path / 'mine').write_text(f'registry={address}mine/\n')
        monkeypatch.setenv('npm_config_userconfig', str(tmp_path / 'mine'))
        with pytest.raises(export.ExportError, match='npm pack .* failed: '):
            web_runtime.copy_runtime(tmp_path)
    assert {path.split('/')[1] for path, _ in asked} == {'mine'}


def test_an_archive_that_is_none_is_a_line(tmp_path: Path):
    package = tmp_path / 'a.tgz'
    with tarfile.open(package, 'w:gz') as archive:
        archive.add(PAGE / 'icon.svg', 'package/dist/icon.svg')
    assert web_runtime._read_packed(package, 'icon.svg') == (PAGE / 'icon.svg').read_bytes()
    with pytest.raises(export.ExportError, match=r'^a.tgz: b.mjs cannot be read from it \(KeyError\)$'):
        web_runtime._read_packed(package, 'b.mjs')
    package.write_bytes(package.read_bytes()[:100])
    with pytest.raises(export.ExportError, match=r'^a.tgz: icon.svg cannot be read from it'):
        web_runtime._read_packed(package, 'icon.svg')


def test_what_keeps_the_page_from_being_written_is_one_line(fails, weights: Path, tmp_path: Path, monkeypatch):
    asked = ['--format', 'web', weights]
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'mine').touch()
    assert fails(*asked, 'full') == 'full: already exists; choose a new folder, or remove it'
    assert fails(*asked, 'new', '--runtime', 'full') == (
        '--runtime full: no ort.wasm.bundle.min.mjs in it; it should be the unpacked folder dist of onnxruntime-web'
    )
    (tmp_path / 'full' / 'dist').mkdir()
    (tmp_path / 'full' / 'dist' / 'ort.wasm.bundle.min.mjs').write_text('another')
    version = web_runtime.RUNTIME_VERSION
    assert fails(*asked, 'new', '--runtime', 'full') == (
        f'full: ort.wasm.bundle.min.mjs is not from onnxruntime-web {version}, the tested version; npm pack '
        f'onnxruntime-web@{version} downloads it'
    )
    assert fails(*asked) == fails(*asked, 'new', '-o', 'new') == 'name one OUT: asid export WEIGHTS OUT, or -o OUT'
    assert fails(*asked, 'new', '--half').startswith('--half does not apply to --format web')
    assert fails(weights, 'a.pt2', '--runtime', 'full') == '--runtime needs --format web'
    monkeypatch.setenv('PATH', str(tmp_path))
    assert fails(*asked, 'new') == (
        f'--format web needs onnxruntime-web {version}: install npm, which downloads it, or pass its folder dist by '
        '--runtime FOLDER'
    )
    (tmp_path / 'npm').write_text(
        '#!/bin/sh\necho \'{"error": {"code": "E404", "summary": "no such package"}}\'\nexit 1'
    )
    (tmp_path / 'npm').chmod(0o755)
    assert fails(*asked, 'new') == (
        f'npm pack onnxruntime-web@{version} failed: no such package; pass its folder dist by --runtime FOLDER'
    )
    torch.save({'params': ASID(num_in_ch=1, num_out_ch=1, **SMALL).state_dict()}, weights.with_name('grey.pth'))
    assert fails('--format', 'web', weights.with_name('grey.pth'), 'new') == (
        'new: not written; the page needs a network with 3 input and 3 output channels'
    )
