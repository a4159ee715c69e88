"""The gate of the page and the bound on its files, without a browser."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from asid_plugin.demo import gate as gate_module
from asid_plugin.demo.gate import Gate, Names
from asid_plugin.demo.keeping import Kept

EXAMPLE = '/package/budgie.webp'


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path, 10_000)


class Server:
    """The gate before an application that answers 200 with the body it was sent."""

    def __init__(self, kept: Kept, names: Names) -> None:
        self.gate = Gate(self._answer, names, kept, 5000, [EXAMPLE])
        self.waiting: asyncio.Event | None = None

    async def _answer(self, scope, receive, send) -> None:
        body, more = b'', True
        while more:
            message = await receive()
            if message['type'] == 'http.disconnect':
                return
            body += message.get('body', b'')
            more = message.get('more_body', False)
        if self.waiting:
            await self.waiting.wait()
        await send({'type': 'http.response.start', 'status': 200, 'headers': []})
        await send({'type': 'http.response.body', 'body': body})

    async def ask(self, method: str, path: str, body: bytes | list[bytes] = b'', **headers: str) -> tuple[int, bytes]:
        """The status and the body; 0 if there was no answer."""
        pieces = [body] if isinstance(body, bytes) else list(body)
        sent: list[dict] = []

        async def receive() -> dict:
            if not pieces:
                await asyncio.sleep(60)
            return {'type': 'http.request', 'body': pieces.pop(0), 'more_body': bool(pieces) or isinstance(body, list)}

        async def send(message: dict) -> None:
            sent.append(message)

        pairs = [(name.replace('_', '-').encode(), value.encode()) for name, value in headers.items()]
        await self.gate({'type': 'http', 'method': method, 'path': path, 'headers': pairs}, receive, send)
        return (sent[0]['status'], sent[1]['body']) if sent else (0, b'')

    def __call__(self, *args, **headers) -> tuple[int, bytes]:
        return asyncio.run(self.ask(*args, **headers))


@pytest.fixture
def ask(kept: Kept) -> Server:
    return Server(kept, Names.of_host('127.0.0.1'))


OWN = {'host': '127.0.0.1:7860'}


@pytest.mark.parametrize(
    ('host', 'further', 'right', 'wrong'),
    [
        (
            '127.0.0.1',
            [],
            ['127.0.0.1:1', 'localhost', 'LOCALHOST.:80', '[::1]:80'],
            ['192.0.2.1', 'localhost.evil.example'],
        ),
        ('::1', [], ['[::1]:7860', 'localhost:7860'], ['[::2]', '127.0.0.2']),
        ('0.0.0.0', [], ['192.0.2.1:7860', '[2001:db8::1]', 'localhost'], ['evil.example', '192.0.2.1.evil.example']),
        ('192.0.2.1', [], ['192.0.2.1:7860'], ['192.0.2.2', 'evil.example']),
        ('pictures.example', [], ['pictures.example'], ['evil.example', '127.0.0.1']),
        ('127.0.0.1', ['Pictures.example'], ['pictures.example', '127.0.0.1'], ['evil.example']),
    ],
)
def test_the_names_of_a_server(host: str, further: list[str], right: list[str], wrong: list[str]) -> None:
    names = Names.of_host(host, further)
    assert [place for place in right if not names.hold(place)] == []
    assert [place for place in [*wrong, '', '@', ':80', '[', '127.0.0.1@evil.example'] if names.hold(place)] == []


def test_requests_under_other_names_and_from_other_sites_are_refused(ask: Server) -> None:
    assert ask('GET', '/', **OWN)[0] == 200
    assert ask('GET', '/', host='evil.example:7860')[0] == 421
    assert ask('GET', '/')[0] == 421, 'without a name'
    upload = ('POST', '/gradio_api/upload', b'')
    assert ask(*upload, **OWN, origin='http://127.0.0.1:7860', content_length='0')[0] == 200
    for origin in ('http://evil.example', 'null', 'http://127.0.0.1.evil.example:7860', '', 'http://[', 'http://a:b'):
        assert ask(*upload, **OWN, origin=origin, content_length='0')[0] == 403, origin


@pytest.mark.parametrize(
    ('host', 'right', 'wrong'),
    [
        (
            '127.0.0.1:7860',
            ['http://127.0.0.1:7860', 'http://LOCALHOST:7860', 'http://[::1]:7860', 'https://pictures.example',
             'http://pictures.example:8000'],
            ['http://localhost:3000', 'http://127.0.0.1', 'https://localhost', 'http://[::1]:7861', 'localhost:7860',
             'file://localhost:7860', 'http://localhost:x', 'http://localhost:99999', 'http://other.example:7860'],
        ),
        ('localhost:9000', ['http://localhost:9000'], ['http://localhost:7860']),
        ('localhost', ['http://localhost', 'http://localhost:80', 'https://localhost:443'], ['http://localhost:443']),
        ('pictures.example', ['https://pictures.example'], ['http://localhost:3000']),
    ],
)  # fmt: skip
def test_pages_of_other_ports_are_other_sites(kept: Kept, host: str, right: list[str], wrong: list[str]) -> None:
    ask = Server(kept, Names.of_host('127.0.0.1', ['pictures.example']))

    def status(origin: str) -> int:
        return ask('POST', '/gradio_api/upload', b'', host=host, origin=origin, content_length='0')[0]

    assert [origin for origin in right if status(origin) != 200] == []
    assert [origin for origin in wrong if status(origin) != 403] == []


@pytest.mark.parametrize(
    'path',
    [
        '/monitoring',
        '/monitoring/summary',
        '/gradio_api/info',
        '/gradio_api/openapi.json',
        '/gradio_api/run/_enlarge',
        '/gradio_api/call/_enlarge',
        '/gradio_api/proxy=http://evil.example',
        '/gradio_api/file=http://evil.example',
        '/gradio_api/file=HTTPS://evil.example',
        '/gradio_api/vibe-code',
        '/gradio_api/stream/a',
        '/login',
        '//config',
        '/config\n',
    ],
)
def test_parts_of_gradio_that_the_page_does_not_need_are_not_there(ask: Server, path: str) -> None:
    assert ask('GET', path, **OWN)[0] == 404
    assert ask('POST', path, **OWN)[0] == 404
    assert ask('DELETE', path, **OWN)[0] == 405


def test_an_upload_says_its_length_and_fits(ask: Server, kept: Kept) -> None:
    def upload(length: str) -> int:
        return ask('POST', '/gradio_api/upload', b'', **OWN, content_length=length)[0]

    limit = 5000 + 64 * 1024
    assert ask('POST', '/gradio_api/upload', b'', **OWN)[0] == 411
    assert [upload(length) for length in ('-1', '1e3', '²', str(limit + 1))] == [411, 411, 411, 413]
    assert [upload('9' * digits) for digits in (18, 19, 5000, 60_000)] == [413] * 4
    assert upload('10000') == 200
    assert upload('10001') == 503, 'more than all'


def test_uploads_at_once_are_few_and_silent_ones_are_given_up(ask: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_module, '_PATIENCE', 0.2)

    async def several() -> list[tuple[int, bytes]]:
        slow = [ask.ask('POST', '/gradio_api/upload', [b'a'], **OWN, content_length='10') for _ in range(4)]
        waiting = [asyncio.create_task(request) for request in slow]
        await asyncio.sleep(0)
        fifth = await ask.ask('POST', '/gradio_api/upload', b'a', **OWN, content_length='1')
        first = await asyncio.gather(*waiting)
        return [fifth, *first, await ask.ask('POST', '/gradio_api/upload', b'a', **OWN, content_length='1')]

    fifth, *slow, after = asyncio.run(several())
    assert fifth[0] == 503 and slow == [(0, b'')] * 4 and after == (200, b'a')


def test_open_requests_are_bounded(ask: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_module, '_MOST_REQUESTS', 2)

    async def several() -> list[int]:
        ask.waiting = asyncio.Event()
        waiting = [asyncio.create_task(ask.ask('GET', '/', **OWN)) for _ in range(2)]
        await asyncio.sleep(0)
        third, _ = await ask.ask('GET', '/', **OWN)
        ask.waiting.set()
        return [third, *(status for status, _ in await asyncio.gather(*waiting))]

    assert asyncio.run(several()) == [503, 200, 200]


def test_a_request_names_files_of_the_page_alone(ask: Server, kept: Kept) -> None:
    def join(data: object) -> int:
        return ask('POST', '/gradio_api/queue/join', json.dumps({'data': data}).encode(), **OWN)[0]

    own = {'path': str(kept.folder / 'abc' / 'a.png')}
    assert [join(data) for data in ([own, 'x2'], [{'path': EXAMPLE}], [], [None], {'path': None})] == [200] * 5
    for path in ('/etc/passwd', 'http://192.0.2.1/a.png', f'{kept.folder}/../a', f'{kept.folder}x/a', 7, ['a'], ''):
        assert join(['x2', {'deep': [{'path': path}]}]) == 403, path
    for body in (b'{', b'\xff', b'[' * 50_000):
        assert ask('POST', '/gradio_api/queue/join', body, **OWN)[0] == 400
    assert ask('POST', '/gradio_api/queue/join', b' ' * (64 * 1024 + 1), **OWN)[0] == 413
    body = json.dumps({'data': [own]}).encode()
    assert ask('POST', '/gradio_api/queue/join', body, **OWN) == (200, body), 'it is handed on as it came'


def write(folder: Path, name: str, size: int, age: int) -> Path:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(bytes(size))
    os.utime(folder / name, (1e9 - age, 1e9 - age))
    return folder / name


def test_the_oldest_files_make_room(kept: Kept, tmp_path: Path) -> None:
    old, used, young = (write(tmp_path, f'{age}/a.png', 3000, age) for age in (3, 2, 1))
    with kept.using(used), kept.room(1000) as free:
        assert free and old.exists(), 'all fit'
        with kept.room(1000) as more:
            assert more and not old.exists() and young.exists()
        with kept.room(5000) as more:
            assert more and used.exists() and not young.exists()
        with kept.room(6001) as more:
            assert not more and used.exists(), 'what is promised and what is used stays'
    with kept.room(10_000) as free:
        assert free and not used.exists()
    with kept.room(10_001) as free:
        assert not free
