"""`asid demo`: the page in a real headless Chromium, and the command line."""

import json
import os
import re
import signal
import socket
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPResponse
from pathlib import Path
from types import SimpleNamespace
from urllib.request import Request, urlopen

import cv2
import numpy as np
import PIL.Image
import pytest
import skimage.data
import torch
from basicsr.utils.matlab_functions import imresize
from selenium.common.exceptions import TimeoutException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from asid_plugin.archs import ASID
from asid_plugin.demo.example import EXAMPLE
from asid_plugin.demo.keeping import Kept
from asid_plugin.demo.offers import Offer
from asid_plugin.images import READABLE
from asid_plugin.inference import Upscaler
from fresh import Fresh
from helpers import command

MAX_PIXELS = 50_000
TILES = ['--tile', '32', '--tile-overlap', '8']
SLIDER = '[data-testid=imageslider-image]'
WAIT = 15  # seconds, at most; the machine may be busy


@pytest.fixture(scope='module')
def weights(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Checkpoints of scales 2, 4 and 4, the last two of the same name."""
    folder = tmp_path_factory.mktemp('weights')
    torch.manual_seed(0)
    paths = [folder / 'two.pth', folder / 'first' / 'four.pth', folder / 'second' / 'four.pth']
    for path, scale in zip(paths, (2, 4, 4), strict=True):
        path.parent.mkdir(exist_ok=True)
        torch.save({'params': ASID(num_feat=16, num_block=1, upscale=scale).state_dict()}, path)
    return paths


@pytest.fixture(scope='module')
def address(weights: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the command serves the page; afterwards, nothing of what it was given must be left."""
    temporary = tmp_path_factory.mktemp('temporary')
    words = ['--weights', *weights, '--max-pixels', MAX_PIXELS, *TILES]
    with served(temporary, *words, http_proxy='http://127.0.0.1:9') as (server, line):  # nobody is there
        yield re.fullmatch(r'The page is at (http://127\.0\.0\.1:\d+/) \(Ctrl-C ends it\)\n', line)[1]
        os.kill(server.pid, signal.SIGTERM)
        done = server.communicate(WAIT)
    assert (done.returncode, done.stderr, list(temporary.iterdir())) == (0, '', [])


@contextmanager
def served(temporary: Path, *words: object, **environment: str) -> Iterator[tuple[Fresh, str]]:
    """A process of the command on a free port, and the line that it prints; in the end it is killed if need be."""
    reading, writing = os.pipe()
    env = {**os.environ, 'TMPDIR': str(temporary), **environment}
    server = Fresh(['-m', 'asid_plugin', 'demo', '--port', '0', *map(str, words)], env=env, stdout=writing)
    os.close(writing)
    try:
        with os.fdopen(reading) as out:
            yield server, out.readline()
    finally:
        with suppress(ProcessLookupError):
            os.kill(server.pid, signal.SIGKILL)


@pytest.fixture
def page(chromium: Chrome, address: str) -> Chrome:
    """The page, freshly loaded."""
    chromium.get_log('performance')
    chromium.get(address)
    find(chromium, 'input[type=file]')
    return chromium


@pytest.fixture(scope='module')
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tiles, of 16 bits, in a file whose name has a space."""
    path = tmp_path_factory.mktemp('picture') / 'a face.png'
    pixels = cv2.cvtColor(skimage.data.astronaut()[80:112, 180:252], cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(path), pixels.astype(np.uint16) * 257)
    return path


def eventually(page: Chrome, condition: Callable[[], object]) -> None:
    WebDriverWait(page, WAIT, poll_frequency=0.1).until(lambda _: condition())


def find(page: Chrome, selector: str) -> WebElement:
    """The first such element, once there is one."""
    eventually(page, lambda: page.find_elements(By.CSS_SELECTOR, selector))
    return page.find_element(By.CSS_SELECTOR, selector)


def says(page: Chrome, selector: str, pattern: str) -> None:
    """Wait until the paragraph is as the pattern has it."""
    seen = [None]

    def look() -> bool:
        seen[0] = page.execute_script('return document.querySelector(arguments[0])?.textContent', selector)
        return bool(re.fullmatch(pattern, seen[0] or ''))

    try:
        eventually(page, look)
    except TimeoutException:
        pytest.fail(f'{selector} says {seen[0]!r}, not {pattern!r}')


def button(page: Chrome, text: str) -> WebElement:
    return next(found for found in page.find_elements(By.TAG_NAME, 'button') if found.text == text)


def choose(page: Chrome, path: Path) -> None:
    """Give the page a file."""
    find(page, 'input[type=file]').send_keys(str(path))


def drop(page: Chrome, path: Path) -> None:
    """Give the page a file, wait until the server has judged it, and press the button."""
    choose(page, path)
    eventually(page, button(page, 'Enlarge').is_enabled)
    button(page, 'Enlarge').click()


def slider(page: Chrome) -> list[bytes]:
    """The files of the images on the left and on the right, once they are there."""
    find(page, SLIDER)
    return [urlopen(image.get_attribute('src')).read() for image in page.find_elements(By.CSS_SELECTOR, SLIDER)]


def download(page: Chrome, folder: Path) -> Path:
    """Press the button and wait for the file."""
    page.execute_cdp_cmd('Browser.setDownloadBehavior', {'behavior': 'allow', 'downloadPath': str(folder)})
    button(page, 'Download the PNG').click()
    eventually(page, lambda: list(folder.glob('*.png')))
    return next(folder.glob('*.png'))


def upscaled(picture: Path, weights: Path, folder: Path) -> bytes:
    """The file that `asid upscale` makes of it."""
    target = folder / 'expected.png'
    assert command('upscale')([str(picture), '-o', str(target), '--weights', str(weights), *TILES]) == 0
    return target.read_bytes()


def sentence(page: Chrome) -> str:
    toast = find(page, '[data-testid=toast-text]')
    eventually(page, lambda: toast.text)  # it fades in
    return toast.text


def test_the_download_is_what_upscale_writes_and_the_slider_compares_it_with_bicubic(
    page: Chrome, picture: Path, weights: list[Path], tmp_path: Path
):
    assert not button(page, 'Enlarge').is_enabled() and not button(page, 'Download the PNG').is_enabled()
    drop(page, picture)
    left, right = slider(page)
    (tmp_path / 'downloads').mkdir()
    file = download(page, tmp_path / 'downloads')
    assert file.name == 'a face_x2.png'
    assert file.read_bytes() == right == upscaled(picture, weights[0], tmp_path)

    bicubic = cv2.imdecode(np.frombuffer(left, np.uint8), cv2.IMREAD_UNCHANGED)
    expected = imresize(cv2.imread(str(picture), cv2.IMREAD_UNCHANGED) / 65535, 2) * 65535
    inside = np.s_[4:-4, 4:-4]  # at the border, MATLAB mirrors
    np.testing.assert_allclose(bicubic[inside], expected.clip(0, 65535)[inside], atol=2)


def test_weights_are_offered_by_scale(page: Chrome, picture: Path, weights: list[Path], tmp_path: Path):
    chosen = find(page, 'input[role=combobox]')
    assert chosen.get_property('value') == 'two.pth'
    find(page, 'input[type=radio][value="4"]').click()
    eventually(page, lambda: chosen.get_property('value') == str(weights[1]))
    chosen.click()
    options = page.find_elements(By.CSS_SELECTOR, '[role=option]')
    assert [option.get_attribute('aria-label') for option in options] == [str(path) for path in weights[1:]]
    options[1].click()
    drop(page, picture)
    assert slider(page)[1] == upscaled(picture, weights[2], tmp_path)


def test_another_picture_takes_the_result_away(page: Chrome, picture: Path):
    drop(page, picture)
    slider(page)
    page.find_element(By.CSS_SELECTOR, '[aria-label=Clear]').click()
    eventually(page, lambda: not page.find_elements(By.CSS_SELECTOR, SLIDER))
    eventually(page, lambda: not button(page, 'Download the PNG').is_enabled())


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', zlib.crc32(kind + content))


HUGE_PNG = b'\x89PNG\r\n\x1a\n' + b''.join(
    [
        chunk(b'IHDR', struct.pack('>II5B', 20_000, 30_000, 8, 2, 0, 0, 0)),
        chunk(b'IDAT', zlib.compress(bytes(1000))),
        chunk(b'IEND', b''),
    ]
)


@pytest.mark.parametrize(
    ('name', 'content', 'expected'),
    [
        ('text.png', b'not a picture', 'text.png: .*not an image in a supported format'),
        ('empty.jpg', b'', r'empty\.jpg: the file is empty'),
        (
            'huge.png',
            HUGE_PNG,
            r'huge\.png: 20000x30000 is too large; pictures of up to 0\.05 megapixels are accepted, such as 273x183',
        ),
    ],
    ids=['text', 'empty', 'huge'],
)
def test_a_file_that_cannot_be_enlarged_is_refused_when_it_is_chosen(
    page: Chrome, tmp_path: Path, name, content, expected
):
    (tmp_path / name).write_bytes(content)
    choose(page, tmp_path / name)
    says(page, '#forecast .refused', expected)
    assert not button(page, 'Enlarge').is_enabled()


def test_a_picture_whose_pixels_are_damaged_is_answered_by_a_sentence(page: Chrome, tmp_path: Path):
    whole = cv2.imencode('.png', skimage.data.astronaut()[:64, :64])[1].tobytes()
    (tmp_path / 'half.png').write_bytes(whole[: len(whole) // 2])
    drop(page, tmp_path / 'half.png')
    assert sentence(page).startswith('half.png: damaged')


@pytest.mark.parametrize(
    ('name', 'size', 'expected'),
    [
        ('note.txt', 9, f'Invalid file type: note.txt. Only {", ".join(READABLE)} allowed.'),
        ('long.png', 8 * MAX_PIXELS + 2**20 + 1, 'File(s) exceed the maximum allowed size of 1.4 Mb: "long.png"'),
    ],
    ids=['suffix', 'length'],
)
def test_a_file_that_is_not_even_sent_is_answered_by_a_sentence(page: Chrome, tmp_path: Path, name, size, expected):
    (tmp_path / name).write_bytes(bytes(size))
    choose(page, tmp_path / name)
    assert sentence(page) == expected


TIME = r'about \d+ (second|minute|hour)s?'


def test_the_page_says_how_large_how_long_and_what_for_before_the_button_is_pressed(page: Chrome, picture: Path):
    limit = r'Pictures of up to 0\.05 megapixels are accepted, such as 273x183\.'
    says(page, '#forecast p', rf'{limit} At x2, a megapixel takes {TIME} here\.')
    says(page, '#purpose p', r'Your checkpoint two\.pth: ASID of .*')
    choose(page, picture)
    says(page, '#forecast p', rf'72x32 \(0\.0023 megapixels\) becomes 144x64, in {TIME}\.')
    eventually(page, button(page, 'Enlarge').is_enabled)

    find(page, 'input[type=radio][value="4"]').click()
    says(page, '#purpose p', r'Your checkpoint four\.pth: ASID of .*')
    says(page, '#forecast p', rf'72x32 \(0\.0023 megapixels\) becomes 288x128, in {TIME}\.')

    page.find_element(By.CSS_SELECTOR, '[aria-label=Clear]').click()
    says(page, '#forecast p', rf'{limit} At x4, a megapixel takes {TIME} here\.')
    assert not button(page, 'Enlarge').is_enabled()


def test_the_example_picture_is_enlarged_like_any_other(page: Chrome, weights: list[Path], tmp_path: Path):
    there = sorted(EXAMPLE.parent.iterdir())
    button(page, 'Use the example picture').click()
    says(page, '#forecast p', rf'240x180 \(0\.043 megapixels\) becomes 480x360, in {TIME}\.')
    eventually(page, button(page, 'Enlarge').is_enabled)
    button(page, 'Enlarge').click()
    assert slider(page)[1] == upscaled(EXAMPLE, weights[0], tmp_path)
    assert page.find_elements(By.CSS_SELECTOR, '#notes p') == []
    assert sorted(EXAMPLE.parent.iterdir()) == there  # the results are not written beside it


def test_a_picture_with_frames_in_a_file_of_upper_case_is_enlarged_and_noted(page: Chrome, tmp_path: Path):
    frames = [PIL.Image.fromarray(skimage.data.astronaut()[i : i + 32, 100:132]) for i in (0, 32, 64)]
    frames[0].save(tmp_path / 'MOVES.GIF', save_all=True, append_images=frames[1:])
    drop(page, tmp_path / 'MOVES.GIF')
    says(page, '#forecast p + p', r'Note: only the first of 3 frames is enlarged\.')
    slider(page)
    says(page, '#notes p', r'Note: only the first of 3 frames is enlarged\.')


def test_nothing_is_fetched_from_elsewhere(page: Chrome, picture: Path, address: str):
    drop(page, picture)
    slider(page)
    log = ''.join(entry['message'] for entry in page.get_log('performance'))
    requested = re.findall(r'"Network\.requestWillBeSent".*?"request":\{.*?"url":"(.*?)"', log)
    assert len(requested) > 20
    assert [url for url in requested if not url.startswith((address, 'data:', 'blob:'))] == []


@pytest.mark.slow
def test_only_loopback_is_listened_at(address: str):
    port = int(re.search(r':(\d+)/', address)[1])
    socket.create_connection(('127.0.0.1', port)).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(('127.0.0.2', port))


@pytest.fixture
def fails(weights: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., str]:
    """Run the command, which must end with status 2; gives the one line on stderr."""
    for name in ('GRADIO_TEMP_DIR', 'GRADIO_ANALYTICS_ENABLED', 'no_proxy'):
        monkeypatch.setenv(name, '')  # so that what the command sets is undone

    def fails(*argv: object) -> str:
        assert command('demo')([*map(str, argv)]) == 2
        out, err = capsys.readouterr()
        assert out == '' and err.startswith('error: ') and err.count('\n') == 1
        return err[7:-1]

    return fails


@pytest.mark.slow
def test_what_keeps_the_page_from_being_served_is_one_line(fails, weights, tmp_path, monkeypatch):
    assert fails('--weights', tmp_path / 'none.pth') == f'{tmp_path / "none.pth"}: no such file'
    assert fails('--weights', weights[0], '--tile', 8).endswith('the overlap must be smaller than the tile')
    assert fails('--weights', weights[0], '--max-pixels', 0) == '--max-pixels 0: should be 1 or more'
    assert fails('--weights', weights[0], '--port', 99999).startswith('--host, --port: ')
    assert fails('--weights', weights[0], '--host', '192.0.2.1').startswith('--host, --port: Cannot assign')
    with socket.create_server(('127.0.0.1', 0)) as taken:
        line = fails('--weights', weights[0], '--port', taken.getsockname()[1])
    assert line.startswith('--host, --port: Address already in use')

    monkeypatch.delitem(sys.modules, 'asid_plugin.demo.page', raising=False)
    monkeypatch.setitem(sys.modules, 'gradio', None)
    assert fails('--weights', weights[0]) == (
        "asid demo needs gradio, which is not installed: pip install '.[demo]' in a checkout of asid_plugin"
    )


@pytest.mark.slow
def test_sigterm_in_the_middle_of_an_enlargement_is_a_clean_end(weights: list[Path], tmp_path: Path):
    """By requests as the page sends them; the picture takes minutes."""
    pixels = np.random.default_rng(0).integers(0, 256, (1500, 2000, 3), dtype=np.uint8)
    png = cv2.imencode('.png', pixels)[1].tobytes()
    words = ['--weights', weights[0], '--tile', '24', '--tile-overlap', '8']
    with served(tmp_path, *words) as (server, line):
        address = re.search(r'http://[\d.:]+/', line)[0]

        def ask(path: str, content: bytes | None = None, kind: str = 'application/json') -> HTTPResponse:
            return urlopen(Request(f'{address}{path}', content, {'Content-Type': kind}), timeout=60)

        head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
        [path] = json.load(ask('gradio_api/upload', head + png + b'\r\n--b--\r\n', 'multipart/form-data; boundary=b'))
        number = next(entry['id'] for entry in json.load(ask('config'))['dependencies'] if entry['show_progress_on'])
        picture = {'path': path, 'meta': {'_type': 'gradio.FileData'}}
        event = {'data': [picture, weights[0].name], 'fn_index': number, 'session_hash': 's'}
        ask('gradio_api/queue/join', json.dumps(event).encode()).close()
        with ask('gradio_api/queue/data?session_hash=s') as events:
            assert any(b'"tiles"' in line for line in events)
            os.kill(server.pid, signal.SIGTERM)
            done = server.communicate(120)
    assert (done.returncode, done.stderr, list(tmp_path.iterdir())) == (0, '', [])


@pytest.mark.slow
def test_an_enlargement_that_nobody_waits_for_any_more_stops(picture: Path, tmp_path: Path):
    """Its page was closed or was given another picture; the network goes through 256 of 969 tiles."""
    import gradio  # for some seconds, which every process of tests would spend where it begins

    from asid_plugin.demo.page import Page

    seen = []

    def net(lq: torch.Tensor) -> torch.Tensor:
        seen.append(len(lq))
        page.awaited.clear()
        return lq.repeat_interleave(2, 2).repeat_interleave(2, 3)

    offers = {'doubled': Offer(Upscaler(net, 2, tile=16, overlap=15), '')}
    page = Page(offers, MAX_PIXELS, Kept(tmp_path, 2**30))
    with pytest.raises(gradio.Error, match='was cancelled'):
        page._enlarge(str(picture), 'doubled', SimpleNamespace(session_hash='closed'))
    assert seen == [256]
