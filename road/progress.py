"""tqdm's progress bar; where standard error is no terminal, a line every 10 seconds instead."""

import sys

import tqdm as library


class tqdm(library.tqdm):
    """As tqdm.tqdm. A file or pipe gets lines, not thousands of carriage returns."""

    def __init__(self, *args, **kwargs):
        self.lines = not (sys.stderr and sys.stderr.isatty())
        if not sys.stderr:  # closed by whoever started the program
            kwargs['disable'] = True
        if self.lines:
            kwargs = {'mininterval': 10, 'maxinterval': 10, 'miniters': 0, 'ascii': True, **kwargs}
        super().__init__(*args, **kwargs)

    def clear(self, nolock=False):
        if not self.lines:
            super().clear(nolock)

    def refresh(self, nolock=False, lock_args=None):
        if not (self.lines and nolock):  # tqdm.write() asks for every bar again after its text
            super().refresh(nolock, lock_args)

    @staticmethod
    def status_printer(file):
        if file.isatty():
            return library.tqdm.status_printer(file)

        def print_line(text):
            if text.strip():
                file.write(f'{text.strip()}\n')
                file.flush()
        return print_line
