"""A real HTTP server that does to a download what servers and networks do.

/NAME serves a file with ranges. /HOW/NAME serves it in another way: `cut` breaks off half way
through what is requested, at most twice; `cutplain` does so every time and has no ranges; `stall`
falls silent half way, once; `nolength` announces no size; `page` sends it as a web page; `down`
answers 500. Where a request allows it, the server would compress: it then answers 406.
"""

import http.server
import threading
from contextlib import contextmanager
from pathlib import Path

CUTS = {'cut': 2, 'cutplain': 99, 'stall': 1}


@contextmanager
def serve(folder):
    """Serve `folder` and yield the address; serve.seen lists the requests as (path, range)."""
    release, serve.seen = threading.Event(), []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            how, _, name = self.path.lstrip('/').rpartition('/')
            asked = self.headers.get('Range')
            before = sum(path == self.path for path, _ in serve.seen)
            serve.seen.append((self.path, asked))
            if how == 'down' or not Path(folder, name).is_file():
                return self.answer(500 if how == 'down' else 404)
            if 'gzip' in self.headers.get('Accept-Encoding', ''):
                return self.answer(406)
            data = Path(folder, name).read_bytes()
            start = int(asked[6:-1]) if asked and how != 'cutplain' else 0
            if start >= len(data):
                return self.answer(416, **{'Content-Range': f'bytes */{len(data)}'})
            body, headers = data[start:], {}
            if start:
                headers['Content-Range'] = f'bytes {start}-{len(data) - 1}/{len(data)}'
            if how == 'page':
                headers['Content-Type'] = 'text/html; charset=utf-8'
            if how != 'nolength':
                headers['Content-Length'] = len(body)
            if before < CUTS.get(how, 0):
                body = body[:len(body) // 2]
            self.answer(206 if start else 200, body, **headers)
            if how == 'stall' and not before:
                release.wait(20)

        def answer(self, status, body=b'', **headers):
            self.send_response_only(status)  # without a line on the screen
            for key, value in headers.items():
                self.send_header(key, str(value))
            self.end_headers()
            self.wfile.write(body)

    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, args=[0.02], daemon=True).start()
        yield f'http://127.0.0.1:{httpd.server_port}'
        release.set()
        httpd.shutdown()
