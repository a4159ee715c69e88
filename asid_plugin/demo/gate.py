"""The gate of the page: it admits only requests that the page itself sends, under the host names of the page.

Any visited web site may send requests to this machine, also under a host name that it resolves to this machine (DNS
rebinding). The headers Host and Origin show the source of a request.
"""

import asyncio
import ipaddress
import json
import re
import socket
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .keeping import Kept

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_API = '/gradio_api'
_ROUTES = {
    'GET': (
        '/|/config/?|/theme\\.css|/favicon\\.ico|/manifest\\.json|/robots\\.txt|/(assets|static|svelte)/.*|'
        f'{_API}/(theme\\.css|startup-events|queue/data|upload_progress|heartbeat/[^/]*|file=(?!(?i:https?):).*)'
    ),
    'POST': f'{_API}/(upload|queue/join|cancel|reset)/?',
}
"""Regular expressions of the paths that the page needs, by method; HEAD is treated as GET, and OPTIONS needs none."""
_UPLOAD = f'{_API}/upload'
_MOST_JSON = 64 * 1024
"""Most bytes of a request other than an upload."""
_MOST_DIGITS = 18
"""Most digits of a number of bytes."""
_MOST_REQUESTS, _MOST_UPLOADS = 256, 4
"""Most requests and uploads at once; an open page holds one or two requests."""
_PATIENCE = 60.0
"""Seconds to wait for the next part of a request."""


@dataclass(frozen=True)
class Names:
    """The host names of the page.

    Attributes:
        names: In lower case.
        addresses: Whether any IP address is accepted; a web site can forge names, but not addresses.
        handed_on: Those of `names` that belong to a proxy, which may use another port.
    """

    names: Collection[str]
    addresses: bool = False
    handed_on: Collection[str] = ()

    @classmethod
    def of_host(cls, host: str, further: Collection[str] = ()) -> 'Names':
        """The names of a server that listens on `host`, an address or a name, and the further names."""
        handed_on = frozenset(name.lower().rstrip('.') for name in further)
        names = handed_on | {host.lower().rstrip('.')}
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return cls(names | ({'127.0.0.1', '::1'} if host == 'localhost' else set()), handed_on=handed_on)
        if address.is_loopback:
            return cls(names | {'localhost', '127.0.0.1', '::1'}, handed_on=handed_on)
        own = socket.gethostname().lower()
        return cls(names | {'localhost', own, own.partition('.')[0]}, address.is_unspecified, handed_on)

    def hold(self, place: str) -> bool:
        """Whether NAME or NAME:PORT is one of the names."""
        try:
            name, _ = _name_and_port(place)
            return name in self.names or (self.addresses and bool(ipaddress.ip_address(name)))
        except ValueError:
            return False

    def hold_origin(self, origin: str, hosts: Collection[str]) -> bool:
        """Whether an Origin is a page of this server, for a request with these Host headers, NAME or NAME:PORT.

        Other servers on this machine share its names, but use other ports.
        """
        scheme, _, place = origin.partition('://')
        default = {'http': 80, 'https': 443}.get(scheme)
        if default is None or not self.hold(place):
            return False
        name, port = _name_and_port(place)
        return name in self.handed_on or (port or default) in (_name_and_port(host)[1] or default for host in hosts)


class Gate:
    """An ASGI application in front of the page's.

    Args:
        app: The page's.
        names: Requests under other names, or from pages with other names, are refused.
        kept: The store for uploads.
        most_upload: Most bytes of an uploaded file.
        readable: Folders and files that a request may name.
    """

    def __init__(self, app: App, names: Names, kept: Kept, most_upload: int, readable: Collection[str] = ()) -> None:
        self.app, self.names, self.kept, self.most_upload = app, names, kept, most_upload
        self.readable = tuple(readable)
        self._requests = self._uploads = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Forward a request, or refuse it with a line."""
        if scope['type'] == 'lifespan':
            await self.app(scope, receive, send)
        elif scope['type'] == 'websocket':  # the page has none
            await send({'type': 'websocket.close'})
        elif self._requests >= _MOST_REQUESTS:
            await _answer(send, 503, 'Too many requests at once; try again later.')
        elif refusal := self._refusal(scope):
            await _answer(send, *refusal)
        else:
            self._requests += 1
            try:
                await self._hand_on(scope, receive, send)
            finally:
                self._requests -= 1

    def _refusal(self, scope: Message) -> tuple[int, str] | None:
        """The status and the line that refuse a request, or None."""
        headers = _headers(scope)
        hosts = headers.get('host', [])
        if not hosts or not all(map(self.names.hold, hosts)):
            return 421, 'This page has another host name; start asid demo with --name to add this one.'
        for origin in headers.get('origin', []):
            if not self.names.hold_origin(origin, hosts):
                return 403, 'This page accepts no requests from other sites.'
        routes = _ROUTES.get('GET' if scope['method'] == 'HEAD' else scope['method'])
        if routes is None:
            return 405, 'The page does not support this method.'
        if not re.fullmatch(routes, scope['path'], re.DOTALL):
            return 404, 'The page has no such path.'
        return None

    async def _hand_on(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope['method'] != 'POST':
            await self.app(scope, receive, send)
        elif scope['path'].rstrip('/') == _UPLOAD:
            await self._upload(scope, _patient(receive), send)
        else:
            await self._call(scope, _patient(receive), send)

    async def _upload(self, scope: Message, receive: Receive, send: Send) -> None:
        """Forward an upload, if there is disk space for it."""
        length = ''.join(_headers(scope).get('content-length', []))
        if not length.isdecimal():
            await _answer(send, 411, 'An upload must state its length.')
        elif len(length) > _MOST_DIGITS or int(length) > self.most_upload + _MOST_JSON:
            await _answer(send, 413, f'A picture may have at most {self.most_upload:,} bytes.')
        elif self._uploads >= _MOST_UPLOADS:
            await _answer(send, 503, 'Too many uploads at once; try again later.')
        else:
            self._uploads += 1
            try:
                with self.kept.room(int(length)) as free:
                    if free:
                        await self.app(scope, receive, send)
                    else:
                        await _answer(send, 503, 'There is no disk space for a picture now; try again later.')
            finally:
                self._uploads -= 1

    async def _call(self, scope: Message, receive: Receive, send: Send) -> None:
        """Forward a JSON request, if it is short and names only files of the page."""
        body = b''
        more = True
        while more:
            message = await receive()
            body += message.get('body', b'')
            more = message.get('more_body', False)
            if len(body) > _MOST_JSON:
                await _answer(send, 413, f'A request may have at most {_MOST_JSON:,} bytes.')
                return
        try:
            paths = _paths(json.loads(body)) if body else []
        except (ValueError, RecursionError):
            await _answer(send, 400, 'The request is not JSON.')
            return
        if not all(isinstance(path, str) and self._is_readable(path) for path in paths):
            await _answer(send, 403, 'The request names a file outside this page.')
            return
        whole: list[Message] = [{'type': 'http.request', 'body': body, 'more_body': False}]

        async def replay() -> Message:
            return whole.pop() if whole else await receive()

        await self.app(scope, replay, send)

    def _is_readable(self, path: str) -> bool:
        folder = f'{self.kept.folder}/'
        inside = path.replace('\\', '/').startswith(folder.replace('\\', '/')) and '..' not in path
        return inside or path in self.readable


def _name_and_port(place: str) -> tuple[str, int | None]:
    """The name, in lower case, and the port, if any; raises a ValueError if it is malformed."""
    parts = urlsplit(f'//{place}')
    return (parts.hostname or '').rstrip('.'), parts.port


def _headers(scope: Message) -> Mapping[str, list[str]]:
    headers: dict[str, list[str]] = {}
    for name, value in scope['headers']:
        headers.setdefault(name.decode('latin-1').lower(), []).append(value.decode('latin-1'))
    return headers


def _paths(value: object) -> list[object]:
    """The paths of all files in a request, at any depth."""
    if isinstance(value, list):
        return [path for item in value for path in _paths(item)]
    if isinstance(value, dict):
        own = [value['path']] if value.get('path') is not None else []
        return own + [path for item in value.values() for path in _paths(item)]
    return []


def _patient(receive: Receive) -> Receive:
    """Receive the messages of a request; a client that pauses too long within a body is treated as disconnected."""
    whole = False

    async def receive_patiently() -> Message:
        nonlocal whole
        if whole:  # the response has started, and only a disconnect can follow
            return await receive()
        try:
            message = await asyncio.wait_for(receive(), _PATIENCE)
        except asyncio.TimeoutError:
            message = {'type': 'http.disconnect'}
        whole = not message.get('more_body', False)
        return message

    return receive_patiently


async def _answer(send: Send, status: int, line: str) -> None:
    headers = [(b'content-type', b'text/plain; charset=utf-8'), (b'connection', b'close')]
    await send({'type': 'http.response.start', 'status': status, 'headers': headers})
    await send({'type': 'http.response.body', 'body': f'{line}\n'.encode()})
