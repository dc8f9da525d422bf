"""The one exception for what the user can put right, and how every error becomes one line."""

import re


class InputError(Exception):
    """Bad input: one line that names the file or value, what was expected, and the cure.

    `python main.py` prints it without a traceback and exits with 2; `--debug` shows the traceback.
    """

    def __init__(self, message):
        # names in damaged files can hold what would break the line or steer the terminal
        super().__init__(''.join(letter if letter.isprintable() else '?' for letter in message))


def cannot_write(path, error, cure='earlier epochs are kept. Make room or give permission, then '
                 'use --resume'):
    """The InputError for what could not be written.

    Args:
        error: an OSError, or TensorFlow's own kind; ResourceExhaustedError is then a full disk.
    """
    return InputError(f'{path}: cannot be written ({reason(error)}); {cure}')


def reason(error):
    """The system's words for a failed read or write, from an OSError or TensorFlow's error."""
    # TensorFlow wraps the reason in many lines, of which one is "<file>; <reason>"
    found = re.search(r'^.*/.*; (.*)$', str(error), re.MULTILINE)
    return (getattr(error, 'strerror', None) or (found and found[1])
            or str(error).split('\n')[0] or type(error).__name__)


def not_finite(epoch, step, loss, learning_rate, frames):
    """The InputError for a loss that is not finite; frames are the names of the batch's frames."""
    return InputError(
        f'epoch {epoch}, step {step}: the loss is {loss} at learning rate {learning_rate:g} on the '
        f'frames {", ".join(frames) or "unknown"}; resume with a smaller --learning-rate. Earlier '
        'epochs are kept')


def describe(error, settings):
    """One line for an error that the user can do something about; None for a fault of the program.

    Args:
        settings: dict of the options in force; image_size and batch_size are named if memory ends.
    """
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OSError):  # names the file
        return f'{error.filename}: {error.strerror}' if error.filename else str(error)
    # by name, because TensorFlow may not be imported
    if isinstance(error, MemoryError) or type(error).__name__ == 'ResourceExhaustedError':
        if 'No space left on device' in str(error):  # TensorFlow's error for a full disk too
            return 'the disk is full; make room'
        if 'Too many open files' in str(error):
            return 'too many files are open; raise the limit, as with ulimit -n 4096'
        size = ''
        if 'image_size' in settings:
            size = ' at image size {}x{}'.format(*settings['image_size'])
        if 'batch_size' not in settings:
            return (f'out of memory{size}; close other programs, or use a run trained at a smaller '
                    '--image-size')
        return (f'out of memory{size} and batch size {settings["batch_size"]}; lower --batch-size, '
                'then --image-size (half the height and width takes a quarter)')
    return None
