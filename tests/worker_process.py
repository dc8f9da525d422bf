"""main.py in a process forked from one that has TensorFlow imported, which saves seconds each."""

import os
import signal
import sys

import tensorflow  # noqa: F401, imported once, before the fork

import main


def work(words, environment, output):
    """Run main.main(words); the process ends with its exit code. What it prints goes to a file."""
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.stdout, sys.stderr = os.fdopen(1, 'w', 1), os.fdopen(2, 'w', 1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(environment)
    sys.exit(main.main(words))
