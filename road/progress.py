"""tqdm's progress bar; where standard error is no terminal, a line every 10 seconds instead."""

import sys

import tqdm as library


class _Lines:
    """A file or pipe, which gets a bar's states as lines, not as thousands of carriage returns."""

    def __init__(self, stream):
        self.stream = stream

    def write(self, text):
        if text.strip():
            self.stream.write(f'{text.strip()}\n')

    def flush(self):
        self.stream.flush()


class tqdm(library.tqdm):
    """As tqdm.tqdm."""

    def __init__(self, *args, **kwargs):
        if not sys.stderr:  # closed by whoever started the program
            kwargs['disable'] = True
        elif not sys.stderr.isatty():
            kwargs.update(file=_Lines(sys.stderr), ascii=True, mininterval=10, maxinterval=10,
                          miniters=0)
        super().__init__(*args, **kwargs)
