"""The one exception for what the user can put right, and its most frequent form."""

import re


class InputError(Exception):
    """Bad input: the message is one line that names the file or value, what was expected, and the cure.

    `python main.py` prints it without a traceback and exits with 2; `--debug` shows the traceback.
    """

    def __init__(self, message):
        # names in damaged files can hold what would break the line or steer the terminal
        super().__init__(''.join(letter if letter.isprintable() else '?' for letter in message))


def cannot_write(path, error):
    """The InputError for what a run could not write: from an OSError, or TensorFlow's own kind."""
    # TensorFlow wraps the reason in many lines, of which one is "<file>; <reason>"
    found = re.search(r'^/.*; (.*)$', str(error), re.MULTILINE)
    reason = getattr(error, 'strerror', None) or (found[1] if found else str(error).split('\n')[0])
    return InputError(f'{path}: cannot be written ({reason}); earlier epochs are kept. Make room or give permission, then go '
                      'on with --resume')
