"""Which files of a folder `predict` wrote: it replaces its own results, and no other files.

`.predict.jsonl` in the folder has a line for each file, with its size and time: a file that is not
as recorded is somebody's own. Lines are appended, so that several processes can write to a folder,
and what a killed process wrote is known.
"""

import json
import os
from contextlib import suppress

from road.errors import InputError


def file_state(path):
    """[bytes, time of the last change in ns] of a file; None if there is none."""
    with suppress(OSError):
        status = os.lstat(path)
        return [status.st_size, status.st_mtime_ns]


class Written:
    """The record of a folder.

    Args:
        how: on what results depend beside their sources, for JSON.
    """

    def __init__(self, folder, how):
        self.folder, self.how, self.added = folder, how, set()
        self.entries, self.sources = {}, {}
        self.path = os.path.join(folder, '.predict.jsonl')
        with suppress(OSError), open(self.path, encoding='utf-8') as file:
            for line in file:
                with suppress(ValueError):  # cut short
                    name, state, *entry = json.loads(line)
                    self.entries[(name, *state)] = entry

    def is_done(self, source, path):
        """Whether a file is the whole result of a source, which is as it was, by the same `how`.

        Raises InputError if the file is there, but is not a result of this source.
        """
        real, state = os.path.realpath(source), file_state(path)
        self.sources[source] = [real, file_state(real)]  # before it is read
        if not state:
            return False
        (name, *was), *how = self.entries.get((self._name(path), *state)) or [[None]]
        if not name:
            raise InputError(f'{path}: is there already, and predict did not write it, or it was '
                             'changed since; move it away, or name another folder with --output')
        if name != real:
            raise InputError(f'{path}: is the result of {name}; name another folder with --output')
        return [[name, *was], *how] == [self.sources[source], self.how, True]

    def add(self, source, path, whole=True):
        """Record that a file was written; whole: from all of its source. Raises OSError."""
        entry = self._name(path), file_state(path), self.sources[source], self.how, whole
        with open(self.path, 'a', encoding='utf-8') as file:
            file.write(json.dumps(entry) + '\n')
        self.added.add(path)

    def _name(self, path):
        return os.path.relpath(path, self.folder)
