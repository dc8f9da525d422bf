"""The one exception for what the user can put right, and how every error becomes one line."""

import errno
import os
import re
from contextlib import contextmanager

# What helps, by the system's words: TensorFlow's errors have them, but no number.
CURES = {os.strerror(number): cure for cure, *numbers in (
    ('make room on the disk', errno.ENOSPC, errno.EDQUOT),
    ('give permission, or name another folder', errno.EACCES, errno.EPERM),
    ('name a folder that can be written, or copy it to one', errno.EROFS),
    ('move it away, or name another folder', errno.EEXIST, errno.EISDIR, errno.ENOTDIR),
    ('choose a shorter name', errno.ENAMETOOLONG),
    ('raise the limit, as with ulimit -n 4096', errno.EMFILE),
    ('close other programs', errno.ENOMEM)) for number in numbers}


class InputError(Exception):
    """Bad input: one line that names the file or value, what was expected, and the cure."""

    def __init__(self, message):
        # names in damaged files can hold what would break the line or steer the terminal
        super().__init__(''.join(letter if letter.isprintable() else '?' for letter in message))


@contextmanager
def writing(path):
    """Raise an OSError that names `path` when the system or TensorFlow cannot write."""
    try:
        yield
    except Exception as error:
        # by name, because TensorFlow may not be imported
        if isinstance(error, OSError) or type(error).__module__.startswith('tensorflow.'):
            raise OSError(None, reason(error), path) from error
        raise


def reason(error):
    """The system's words for a failed read or write, from an OSError or TensorFlow's error."""
    if getattr(error, 'strerror', None):
        return error.strerror
    # TensorFlow wraps the reason in many lines, of which one is "<file>; <reason>"
    found = re.search(r'^.*/.*; (.*)$', str(error), re.MULTILINE)
    return found[1] if found else str(error).split('\n')[0] or type(error).__name__


def not_finite(epoch, step, loss, learning_rate, frames):
    """The InputError for a loss that is not finite; frames are the names of the batch's frames."""
    return InputError(
        f'epoch {epoch}, step {step}: the loss is {loss} at learning rate {learning_rate:g} on the '
        f'frames {", ".join(frames) or "unknown"}; resume with a smaller --learning-rate. Earlier '
        'epochs are kept')


def describe(error, settings):
    """One line for an error that the user can do something about; None for a fault of the program.

    settings: dict of the options given, of which those that take much memory are named.
    """
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OSError):
        line = reason(error)
        if line in CURES:
            line = f'{line}; {CURES[line]}'
        return f'{error.filename}: {line}' if error.filename else line
    if not isinstance(error, MemoryError) and type(error).__name__ != 'ResourceExhaustedError':
        return None
    for words, cure in CURES.items():  # TensorFlow's error for a full disk and open files too
        if words in str(error):
            return f'{words}; {cure}'
    if settings.get('full_size'):
        return 'out of memory; leave out --full-size, or make the images smaller'
    if settings.get('resume'):
        return 'out of memory; close other programs, or resume with a smaller --batch-size'
    if 'batch_size' in settings:
        height, width = settings['image_size']
        return (f'out of memory at image size {height}x{width} and batch size '
                f'{settings["batch_size"]}; lower --batch-size, then --image-size (half the height '
                'and width takes a quarter)')
    return 'out of memory; close other programs, or use a run trained at a smaller --image-size'
