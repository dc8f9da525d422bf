"""The one exception for what the user can put right."""


class InputError(Exception):
    """Bad input: the message is one line that names the file or value, what was expected, and the cure.

    `python main.py` prints it without a traceback and exits with 2; `--debug` shows the traceback.
    """

    def __init__(self, message):
        # names in damaged files can hold what would break the line or steer the terminal
        super().__init__(''.join(letter if letter.isprintable() else '?' for letter in message))
