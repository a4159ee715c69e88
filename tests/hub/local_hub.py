"""A Hugging Face hub on this machine: as much of its HTTP as uploading and downloading a model takes."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = '0123456789abcdef0123456789abcdef01234567'


class LocalHub(ThreadingHTTPServer):
    """Repositories of models.

    Attributes:
        files: The files in them, by 'OWNER/NAME/PATH'.
        claimed: Sizes to answer in the place of the true ones.
        sent: Bytes of files that were asked for.
        silent: Files to which it gives no answer.
    """

    def __init__(self) -> None:
        super().__init__(('127.0.0.1', 0), Handler)
        self.files: dict[str, bytes] = {}
        self.claimed: dict[str, int] = {}
        self.sent = 0
        self.silent: set[str] = set()

    @property
    def url(self) -> str:
        return f'http://127.0.0.1:{self.server_port}'

    @property
    def environment(self) -> dict[str, str]:
        """Of a process that takes this for the hub."""
        without_proxy = dict.fromkeys(('no_proxy', 'NO_PROXY'), '127.0.0.1')
        return {'HF_ENDPOINT': self.url, 'HF_HUB_DISABLE_XET': '1', 'HF_TOKEN': 'hf_local', **without_proxy}


@contextmanager
def local_hub() -> Iterator[LocalHub]:
    with LocalHub() as hub:
        thread = threading.Thread(target=hub.serve_forever, daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()


class Handler(BaseHTTPRequestHandler):
    server: LocalHub

    def do_HEAD(self) -> None:
        self._file(body=False)

    def do_GET(self) -> None:
        self._file(body=True)

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        parts = self.path.strip('/').split('/')
        if self.path == '/api/repos/create':
            wanted = json.loads(content)
            name = '/'.join(filter(None, (wanted.get('organization'), wanted['name'])))
            self._json({'url': f'{self.server.url}/{name}', 'name': name})
        elif self.path == '/api/validate-yaml':
            self._json({'errors': [], 'warnings': []})
        elif parts[4:5] == ['preupload']:
            files = json.loads(content)['files']
            self._json({'files': [{**file, 'uploadMode': 'regular', 'shouldIgnore': False} for file in files]})
        elif parts[4:5] == ['commit']:
            for line in map(json.loads, content.splitlines()):
                if line['key'] == 'file':
                    name = '/'.join([*parts[2:4], line['value']['path']])
                    self.server.files[name] = base64.b64decode(line['value']['content'])
            self._json({'commitUrl': f'{self.server.url}/{parts[2]}/{parts[3]}/commit/{COMMIT}', 'commitOid': COMMIT})
        else:
            self._json({'error': f'no such path: {self.path}'}, 404)

    def _file(self, body: bool) -> None:
        owner, name, *rest = self.path.strip('/').split('/')
        key = '/'.join([owner, name, *rest[2:]])
        if key in self.server.silent:
            self.close_connection = True
            return
        if rest[:1] != ['resolve'] or key not in self.server.files:
            known = any(file.startswith(f'{owner}/{name}/') for file in self.server.files)
            self._json({}, 404, {'X-Error-Code': 'EntryNotFound' if known else 'RepoNotFound', 'X-Repo-Commit': COMMIT})
            return
        content = self.server.files[key]
        size = self.server.claimed.get(key, len(content))
        self.send_response(200)
        etag = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        for header, value in {'Content-Length': size, 'ETag': f'"{etag}"', 'X-Repo-Commit': COMMIT}.items():
            self.send_header(header, str(value))
        self.end_headers()
        if body:
            self.wfile.write(content)
            self.server.sent += len(content)

    def _json(self, content: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        for header, value in {
            'Content-Type': 'application/json',
            'Content-Length': len(body),
            **(headers or {}),
        }.items():
            self.send_header(header, str(value))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Print nothing."""
