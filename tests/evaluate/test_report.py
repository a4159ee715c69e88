"""The HTML report, in a real headless Chromium that has no network."""

import re
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from asid_plugin.evaluate.report import data_uri, write_report
from asid_plugin.evaluate.results import Evaluation, EvaluationError, ImageResult, Method, Metric, SetResult
from asid_plugin.evaluate.table import notes
from asid_plugin.published.reported import Figures

Pixels = NDArray[np.uint8]

METHODS = (
    Method('bicubic'),
    Method('ASID', 'tiles', 297_516, 'net_g_latest.pth'),
    Method('<script>alert(1)</script>', params=878_000),
)
LABELS = ('bicubic', 'ASID, tiles', '<script>alert(1)</script>', 'HR')
SCRIPT = LABELS[2]


def pictures(index: int) -> dict[str, Pixels]:
    """BGR images by label, 160 x 400: plain colours, or for every second image a photograph and changes to it."""
    if index % 2 == 0:
        colours = ((0, 114, 178), (230, 159, 0), (0, 158, 115), (200 + index, 121, 167))
        return {label: np.full((160, 400, 3), colour, np.uint8) for label, colour in zip(LABELS, colours, strict=True)}
    hr = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)[10 * index :][:160, 60:460]
    blurred = {label: cv2.GaussianBlur(hr, (0, 0), sigma) for label, sigma in zip(LABELS, (2, 1, 0.5), strict=False)}
    return {**blurred, 'HR': hr}


def evaluation(folder: Path) -> Evaluation:
    """Two sets of two images; image i has 30 + i dB for bicubic, 2 and 4 dB more for the others."""
    result = Evaluation(2, METHODS)
    for i, name in enumerate(('a', 'b', 'c', 'd & <i>')):
        if i % 2 == 0:
            result.sets.append(SetResult(('Set5', 'mine')[i // 2], folder, f'GTmod2 and LRbicx2, {i}'))
        image = ImageResult(name, 160, 400, grey=i == 2, cropped=i == 3)
        for k, (label, pixels) in enumerate(pictures(i).items()):
            image.files[label] = folder / f'{i}_{k}.png'
            cv2.imwrite(str(image.files[label]), pixels)
            if label != 'HR':
                image.figures[label] = Figures(30 + i + 2 * k, 0.9 + 0.01 * i + 0.001 * k)
        result.sets[-1].images.append(image)
    return result


@pytest.fixture(scope='module')
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('report')
    write_report(evaluation(folder), folder / 'report.html', 'A <title>')
    return folder / 'report.html'


@pytest.fixture
def page(chromium: Chrome, report: Path) -> Iterator[Chrome]:
    """The report, freshly loaded; afterwards, it must have logged no error."""
    for kind in ('browser', 'performance'):
        chromium.get_log(kind)
    chromium.get(report.as_uri())
    yield chromium
    assert chromium.get_log('browser') == []


def rows(table: WebElement) -> list[list[str]]:
    return [
        [cell.text for cell in row.find_elements(By.CSS_SELECTOR, 'th, td')]
        for row in table.find_elements(By.TAG_NAME, 'tr')
    ]


def comparison(page: Chrome, index: int) -> WebElement:
    """A slider with what belongs to it, scrolled into view, its images decoded."""
    figure = page.find_elements(By.CLASS_NAME, 'comparison')[index]
    page.execute_script('arguments[0].scrollIntoView()', figure)
    return figure


def shown(page: Chrome, figure: WebElement) -> Pixels:
    """The scroller as the browser draws it, BGR, without the divider."""
    page.execute_async_script(
        """const images = [...arguments[0].querySelectorAll('.left, .right')], done = arguments[1];
        const drawn = () => requestAnimationFrame(() => setTimeout(done));
        Promise.all(images.map((image) => image.decode())).then(drawn);""",
        figure,
    )
    page.execute_script("arguments[0].querySelector('.divider').style.visibility = 'hidden'", figure)
    png = figure.find_element(By.CLASS_NAME, 'frame').screenshot_as_png
    page.execute_script("arguments[0].querySelector('.divider').style.visibility = ''", figure)
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)


def joined(left: Pixels, right: Pixels, cut: int) -> Pixels:
    return np.hstack([left[:, :cut], right[:, cut:]])


def choose(figure: WebElement, side: str, label: str) -> None:
    Select(figure.find_element(By.CSS_SELECTOR, f'[data-side={side}]')).select_by_visible_text(label)


def figures(figure: WebElement) -> list[str]:
    return [output.text for output in figure.find_elements(By.TAG_NAME, 'output')]


def eventually(page: Chrome, condition: Callable[[], bool]) -> None:
    WebDriverWait(page, 5).until(lambda _: condition())


@pytest.mark.slow
def test_a_figure_beside_a_slider_is_not_broken_from_its_name(tmp_path: Path):
    found = evaluation(tmp_path)
    found.metrics = (Metric('gmsd', True, True),)
    for image in (image for result in found.sets for image in result.images):
        image.scores = {label: {'gmsd': 0.25} for label in image.figures}
    write_report(found, tmp_path / 'report.html', 'A title')
    html = (tmp_path / 'report.html').read_text(encoding='utf-8')
    assert 'data-figures="30.00\xa0/\xa00.9000, gmsd\xa0↓\xa00.2500' in html


def test_tables(page: Chrome, tmp_path: Path):
    assert rows(page.find_element(By.ID, 'means')) == [
        ['method', 'parameters', 'Set5', 'mine'],
        ['bicubic', '', '30.50 / 0.9050', '32.50 / 0.9250'],
        ['ASID, tiles', '297,516', '32.50 / 0.9060', '34.50 / 0.9260'],
        ['ASID, as the paper reports', '298K', '38.17 / 0.9613', ''],  # Table 1's row at x2
        [SCRIPT, '878,000', '34.50 / 0.9070', '36.50 / 0.9270'],
    ]
    assert rows(page.find_element(By.CSS_SELECTOR, '#set-2 table')) == [
        ['image', 'size', *LABELS[:3]],
        ['c', '400 × 160, grey', '32.00 / 0.9200', '34.00 / 0.9210', '36.00 / 0.9220'],
        ['d & <i>', '400 × 160, cropped', '33.00 / 0.9300', '35.00 / 0.9310', '37.00 / 0.9320'],
        ['mean', '', '32.50 / 0.9250', '34.50 / 0.9260', '36.50 / 0.9270'],
    ]
    assert page.find_element(By.TAG_NAME, 'h1').text == page.title == 'A <title>'
    assert [item.text for item in page.find_elements(By.CSS_SELECTOR, 'header li')] == notes(evaluation(tmp_path))
    assert 'net_g_latest.pth' in page.find_element(By.CSS_SELECTOR, 'ul.note').text


def test_left_of_the_divider_is_one_image_and_right_of_it_the_other(page: Chrome):
    """As it opens, after a drag, and with two networks: the pixels are those of the PNG files."""
    figure, images = comparison(page, 1), pictures(1)
    assert figures(figure) == ['31.00 / 0.9100', '33.00 / 0.9110']
    np.testing.assert_array_equal(shown(page, figure), joined(images['bicubic'], images['ASID, tiles'], 200))

    divider = figure.find_element(By.CLASS_NAME, 'divider')
    ActionChains(page).drag_and_drop_by_offset(divider, -120, 0).perform()
    assert divider.get_attribute('aria-valuenow') == '20'
    np.testing.assert_array_equal(shown(page, figure), joined(images['bicubic'], images['ASID, tiles'], 80))

    choose(figure, 'left', 'ASID, tiles')
    choose(figure, 'right', SCRIPT)
    assert figures(figure) == ['33.00 / 0.9110', '35.00 / 0.9120']
    np.testing.assert_array_equal(shown(page, figure), joined(images['ASID, tiles'], images[SCRIPT], 80))

    choose(figure, 'right', 'HR')
    assert figures(figure) == ['33.00 / 0.9110', 'original']
    choose(figure, 'left', 'HR')
    np.testing.assert_array_equal(shown(page, figure), images['HR'])
    untouched = comparison(page, 0)
    assert untouched.find_element(By.CLASS_NAME, 'divider').get_attribute('aria-valuenow') == '50'


def test_all_sliders_at_once(page: Chrome):
    for side, label in (('left', SCRIPT), ('right', 'HR')):
        Select(page.find_element(By.CSS_SELECTOR, f'.all [data-side={side}]')).select_by_visible_text(label)
    for i in range(4):
        figure, images = comparison(page, i), pictures(i)
        assert figures(figure) == [f'{34 + i}.00 / {0.902 + 0.01 * i:.4f}', 'original']
        np.testing.assert_array_equal(shown(page, figure), joined(images[SCRIPT], images['HR'], 200))


def test_keyboard(page: Chrome):
    figure, images = comparison(page, 0), pictures(0)
    divider = figure.find_element(By.CLASS_NAME, 'divider')
    assert divider.aria_role == 'slider'
    assert divider.accessible_name == 'divider between the left and the right image'
    for key, value in (
        (Keys.ARROW_LEFT, 48),
        (Keys.ARROW_UP, 50),
        (Keys.ARROW_RIGHT, 52),
        (Keys.PAGE_DOWN, 42),
        (Keys.END, 100),
        (Keys.ARROW_RIGHT, 100),
        (Keys.HOME, 0),
        (Keys.PAGE_UP, 10),
    ):
        divider.send_keys(key)
        assert divider.get_attribute('aria-valuenow') == str(value)
    np.testing.assert_array_equal(shown(page, figure), joined(images['bicubic'], images['ASID, tiles'], 40))


def test_touch(page: Chrome):
    """A finger anywhere on the image takes the divider along."""
    figure = comparison(page, 0)
    box = page.execute_script("return arguments[0].querySelector('.frame').getBoundingClientRect()", figure)
    for kind, x in (('touchStart', 300), ('touchMove', 200), ('touchMove', 100), ('touchEnd', None)):
        points = [] if x is None else [{'x': box['x'] + x, 'y': box['y'] + 50}]
        page.execute_cdp_cmd('Input.dispatchTouchEvent', {'type': kind, 'touchPoints': points})
    divider = figure.find_element(By.CLASS_NAME, 'divider')
    eventually(page, lambda: divider.get_attribute('aria-valuenow') == '25')


def test_zoom(page: Chrome):
    """At 4x each pixel is a square of 4x4, the centre stays, the mouse pans, and the divider stays where it is seen."""
    figure, images = comparison(page, 1), pictures(1)
    scroller = figure.find_element(By.CLASS_NAME, 'scroller')

    def scrolled() -> list[int]:
        return page.execute_script('return [arguments[0].scrollLeft, arguments[0].scrollTop]', scroller)

    figure.find_element(By.CSS_SELECTOR, '[data-zoom="4"]').click()
    width, height = page.execute_script('return [arguments[0].clientWidth, arguments[0].clientHeight]', scroller)
    assert width > 800 and height > 300
    expected = [(1600 - width) / 2, (640 - height) / 2]
    np.testing.assert_allclose(scrolled(), expected, atol=1)

    page.execute_script('arguments[0].scrollIntoView(); arguments[1].scrollTo(320, 100)', figure, scroller)
    x, y = 150 - width // 2, 60 - height // 2
    drag = ActionChains(page, duration=50).move_to_element_with_offset(scroller, x, y)
    drag.click_and_hold().move_by_offset(-80, 40).release().perform()
    assert scrolled() == [400, 60]

    enlarged = {label: pixels.repeat(4, 0).repeat(4, 1)[60:, 400:][:height, :width] for label, pixels in images.items()}
    expected = joined(enlarged['bicubic'], enlarged['ASID, tiles'], round(width / 2))
    eventually(page, lambda: np.array_equal(shown(page, figure)[:height, :width], expected))

    figure.find_element(By.CSS_SELECTOR, '[data-zoom="1"]').click()
    np.testing.assert_array_equal(shown(page, figure), joined(images['bicubic'], images['ASID, tiles'], 200))


def test_at_400_pixels_images_shrink_and_the_page_does_not_scroll_sideways(page: Chrome):
    metrics = {'width': 400, 'height': 800, 'deviceScaleFactor': 1, 'mobile': True}
    page.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', metrics)
    try:
        assert page.execute_script('return document.documentElement.scrollWidth') == 400
        frame = comparison(page, 0).find_element(By.CLASS_NAME, 'frame')
        assert frame.size['width'] == 360 and frame.size['height'] == 144
        divider = comparison(page, 0).find_element(By.CLASS_NAME, 'divider')
        eventually(page, lambda: divider.value_of_css_property('left') == '180px')
    finally:
        page.execute_cdp_cmd('Emulation.clearDeviceMetricsOverride', {})


def test_light_dark_and_print(page: Chrome):
    def look(media: str, scheme: str) -> tuple[str, str]:
        features = [{'name': 'prefers-color-scheme', 'value': scheme}]
        page.execute_cdp_cmd('Emulation.setEmulatedMedia', {'media': media, 'features': features})
        body, sliders = (page.find_element(By.CSS_SELECTOR, name) for name in ('body', '.comparisons'))
        return body.value_of_css_property('background-color'), sliders.value_of_css_property('display')

    try:
        assert look('screen', 'light') == ('rgba(255, 255, 255, 1)', 'flex')
        assert look('screen', 'dark') == ('rgba(21, 23, 26, 1)', 'flex')
        assert look('print', 'dark') == ('rgba(255, 255, 255, 1)', 'none')
    finally:
        page.execute_cdp_cmd('Emulation.setEmulatedMedia', {'media': '', 'features': []})


def test_nothing_is_fetched(page: Chrome, report: Path):
    for i in range(4):
        shown(page, comparison(page, i))
    time.sleep(0.2)
    script = "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    assert all(name.startswith(('data:', 'blob:')) for name in page.execute_script(script))
    log = ''.join(entry['message'] for entry in page.get_log('performance'))
    requested = re.findall(r'"Network\.requestWillBeSent".*?"request":\{.*?"url":"(.{0,80})', log)
    assert [url.partition('"')[0] for url in requested if not url.startswith('data:')] == [report.as_uri()]

    page_text = report.read_text(encoding='utf-8')
    addresses = re.findall(r'\b(?:src|href|srcset|action)="(.{0,10})', page_text)
    assert len(addresses) > 20 and all(address.startswith(('data:', '#')) for address in addresses)
    assert 'http:' not in page_text and 'https:' not in page_text and '@import' not in page_text
    assert 'url(' not in page_text


def test_every_picture_is_embedded_once_without_loss(report: Path):
    data = re.findall(r'src="data:image/(webp|png);base64,(.*?)"', report.read_text(encoding='utf-8'))
    assert len(data) == 4 * len(LABELS)
    expected = [pixels for i in range(4) for pixels in pictures(i).values()]
    for (_, encoded), pixels in zip(data, expected, strict=True):
        found = cv2.imdecode(np.frombuffer(b64decode(encoded), np.uint8), cv2.IMREAD_COLOR)
        np.testing.assert_array_equal(found, pixels)


def test_the_smaller_encoding_is_taken(tmp_path: Path):
    """A photograph is smaller as WebP; 16 bits, which WebP has not, stay the PNG file's bytes."""
    hr = pictures(1)['HR']
    for name, pixels in {'colour': hr, 'grey': hr[..., 1], 'deep': hr.astype(np.uint16) * 257}.items():
        path = tmp_path / f'{name}.png'
        cv2.imwrite(str(path), pixels)
        kind, encoded = re.fullmatch('data:image/(.*);base64,(.*)', data_uri(path, 160, 400)).groups()
        if name == 'deep':
            assert kind == 'png' and b64decode(encoded) == path.read_bytes()
        else:
            assert kind == 'webp' and len(encoded) * 3 / 4 < 0.9 * path.stat().st_size
            found = cv2.imdecode(np.frombuffer(b64decode(encoded), np.uint8), cv2.IMREAD_COLOR)
            np.testing.assert_array_equal(found, cv2.imread(str(path), cv2.IMREAD_COLOR))


def test_without_images_there_are_tables_and_a_note(chromium: Chrome, tmp_path: Path):
    result = evaluation(tmp_path)
    for image in (image for each in result.sets for image in each.images):
        image.files.clear()
    write_report(replace(result, scale=7), tmp_path / 'report.html')
    chromium.get((tmp_path / 'report.html').as_uri())
    assert chromium.find_elements(By.CSS_SELECTOR, 'img, select, .comparison') == []
    assert [row[0] for row in rows(chromium.find_element(By.ID, 'means'))] == ['method', *LABELS[:3]]
    assert 'not saved' in chromium.find_element(By.TAG_NAME, 'body').text
    assert chromium.get_log('browser') == []


def test_an_image_that_a_method_lacks_offers_the_others(chromium: Chrome, tmp_path: Path):
    result = evaluation(tmp_path)
    del result.sets[1:], result.sets[0].images[1:], result.sets[0].images[0].files['bicubic']
    write_report(result, tmp_path / 'report.html')
    chromium.get((tmp_path / 'report.html').as_uri())
    figure = comparison(chromium, 0)
    assert [option.text for option in figure.find_elements(By.CSS_SELECTOR, '[data-side=left] option')] == [*LABELS[1:]]
    assert figures(figure) == ['32.00 / 0.9010', '34.00 / 0.9020']


def test_a_bad_picture_is_named_and_no_report_is_left(tmp_path: Path):
    result = evaluation(tmp_path)
    del result.sets[1:], result.sets[0].images[1:]
    path = result.sets[0].images[0].files['HR']
    cv2.imwrite(str(path), np.zeros((10, 20, 3), np.uint8))
    cases = {
        f'{path}: 20x10 pixels; the evaluated image has 400x160': lambda: path.write_bytes(b'no image'),
        f'{path}: damaged, or not a PNG image': path.unlink,
        f'{path}: No such file or directory': lambda: None,
    }
    for message, prepare_next in cases.items():
        with pytest.raises(EvaluationError, match=re.escape(message)):
            write_report(result, tmp_path / 'out' / 'report.html')
        assert not (tmp_path / 'out').exists()
        prepare_next()
