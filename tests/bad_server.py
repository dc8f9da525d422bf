"""A real HTTP server that does to a download what servers and networks do.

/NAME serves a file with ranges and an ETag. /HOW/NAME does one of these things to it:
"""

import http.server
import os
import re
import threading
from contextlib import contextmanager

HOW = {'plain': 'knows no ranges', 'cut': 'breaks off half way through what is asked for, at most twice',
       'cutplain': 'breaks off half way every time, knows no ranges', 'stall': 'falls silent half way, once',
       'long': 'announces 100 bytes more than there are', 'short': 'announces half of what there is',
       'nolength': 'announces nothing', 'other': 'cuts once, then has another version of the file',
       'wrongrange': 'cuts once, then sends another range than was asked for', 'busy': 'answers 500 twice',
       'down': 'answers 500 always', 'refuse': 'answers 403', 'page': 'sends a web page',
       'hiddenpage': 'sends a web page without saying so', 'loop': 'redirects to itself', 'moved': 'redirects to the file'}


@contextmanager
def serve(folder):
    """Serve `folder`; yields the address. Its requests are counted in serve.seen, a list of (path, range)."""
    release, seen = threading.Event(), []
    serve.seen = seen

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = 'HTTP/1.1'

        def do_GET(self):
            how, _, name = self.path.lstrip('/').rpartition('/')
            before = sum(path == self.path for path, _ in seen)
            asked = re.fullmatch(r'bytes=(\d+)-', self.headers.get('Range', ''))
            seen.append((self.path, self.headers.get('Range')))
            self.close_connection = True
            if how in ('loop', 'moved'):
                return self.answer(302, b'', Location=self.path if how == 'loop' else f'/{name}')
            if how == 'refuse' or not os.path.isfile(os.path.join(folder, name)):
                return self.answer(403 if how == 'refuse' else 404, b'<html>no</html>')
            if how == 'down' or how == 'busy' and before < 2:
                return self.answer(500, b'wait')
            if how in ('page', 'hiddenpage'):
                kind = 'text/html; charset=utf-8' if how == 'page' else 'application/zip'
                return self.answer(200, b'\n<!DOCTYPE html><html>moved</html>', **{'Content-Type': kind})
            with open(os.path.join(folder, name), 'rb') as file:
                data = file.read()
            tag = '"one"'
            if how == 'other' and before:
                data, tag = data[::-1], '"two"'
            start = int(asked[1]) if asked and how not in ('plain', 'cutplain') else 0
            if self.headers.get('If-Range', tag) != tag:
                start = 0
            if start >= len(data):
                return self.answer(416, b'', **{'Content-Range': f'bytes */{len(data)}'})
            headers = {'ETag': tag, 'Content-Length': len(data) - start}
            if start:
                headers['Content-Range'] = f'bytes {start}-{len(data) - 1}/{len(data)}'
                if how == 'wrongrange':
                    headers['Content-Range'] = f'bytes 0-{len(data) - 1}/{len(data)}'
            body = data[start:]
            if how == 'long' and not start:
                headers['Content-Length'] += 100
            if how == 'short':
                headers['Content-Length'] //= 2
            if how == 'nolength':
                del headers['Content-Length']
            cut = how == 'cutplain' or how == 'cut' and before < 2 or how in ('other', 'wrongrange', 'stall') and not before
            self.answer(206 if start else 200, body[:len(body) // 2] if cut else body, **headers)
            if how == 'stall' and not before:
                self.wfile.flush()
                release.wait(20)

        def answer(self, status, body, **headers):
            self.send_response(status)
            for key, value in {'Connection': 'close', **headers}.items():
                self.send_header(key, str(value))
            if status in (302, 403, 404, 416, 500) or b'<html>' in body:
                self.send_header('Content-Length', str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={'poll_interval': 0.02}, daemon=True)
        thread.start()
        try:
            yield f'http://127.0.0.1:{httpd.server_port}'
        finally:
            release.set()
            httpd.shutdown()
