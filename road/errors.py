"""The one exception for what the user can put right, and its most frequent form."""


class InputError(Exception):
    """Bad input: the message is one line that names the file or value, what was expected, and the cure.

    `python main.py` prints it without a traceback and exits with 2; `--debug` shows the traceback.
    """


def cannot_write(path, error):
    """The InputError for what a run could not write: from an OSError, or TensorFlow's own kind."""
    reason = getattr(error, 'strerror', None) or str(getattr(error, 'message', error)).split('\n')[0]
    return InputError(f'{path}: cannot be written ({reason}); earlier epochs are kept. Make room or give permission, then go '
                      'on with --resume')
