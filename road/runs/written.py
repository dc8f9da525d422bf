"""Which files of a folder `predict` wrote: it replaces its own results, and no other files.

`.predict.jsonl` in the folder has a line for each, with its size and time: a file that is not as
recorded is somebody's own. Lines are appended: several processes may write, and may be killed.
"""

import json
import os
from contextlib import suppress

from road.errors import InputError


class Written:
    """The record of a folder; `options` is what results depend on beside their sources."""

    def __init__(self, folder, options):
        self.folder, self.options = folder, options
        self.path = os.path.join(folder, '.predict.jsonl')
        self.entries, self.planned, self.added = {}, {}, set()
        with suppress(OSError), open(self.path, encoding='utf-8', errors='replace') as file:
            for line in file:
                with suppress(ValueError, TypeError):  # cut short
                    name, state, *entry = json.loads(line)
                    self.entries[(name, *state)] = entry

    def is_done(self, source, path):
        """Whether a file is the whole result of a source as it is now, by the same options.

        Raises InputError if the file is there, but is not a result of this source.
        """
        real, state = os.path.realpath(source), _state(path)
        origin = real, _state(real), self.options  # as they are before the source is read
        self.planned[path] = state, origin
        if not state:
            return False
        entry = self.entries.get((os.path.relpath(path, self.folder), *state))
        if not entry or entry[0] != real:
            why = (f'is the result of {entry[0]};' if entry else
                   'was not written by predict, or was changed since; move it away, or')
            raise InputError(f'{path}: {why} name another folder with --output')
        return entry == [*origin, True]

    def add(self, path, whole=True):
        """Record a file if written since is_done; whole: from all of its source. Raises OSError."""
        (before, origin), state = self.planned[path], _state(path)
        if state and state != before:
            entry = os.path.relpath(path, self.folder), state, *origin, whole
            with open(self.path, 'a', encoding='utf-8') as file:
                file.write('\n' + json.dumps(entry))  # the last line may be cut short
            self.added.add(path)


def _state(path):
    """[bytes, time of the last change in ns] of a file; None if there is none."""
    with suppress(OSError):
        status = os.stat(os.path.realpath(path))  # of a/../b too, where there is no a yet
        return [status.st_size, status.st_mtime_ns]
