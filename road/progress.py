"""tqdm's progress bar; where standard error is no terminal, a line every 10 seconds instead."""

import sys
from types import SimpleNamespace

import tqdm as library


class tqdm(library.tqdm):
    """As tqdm.tqdm."""

    def __init__(self, *args, **kwargs):
        if not sys.stderr:  # closed by whoever started the program
            kwargs['disable'] = True
        elif not sys.stderr.isatty():
            lines = SimpleNamespace(write=_write_line, flush=sys.stderr.flush)
            kwargs.update(file=lines, ascii=True, mininterval=10, maxinterval=10, miniters=0)
        super().__init__(*args, **kwargs)


def _write_line(text):
    """Write a bar's state as a line, not as one of thousands of carriage returns."""
    if text.strip():
        sys.stderr.write(f'{text.strip()}\n')
