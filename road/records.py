"""Small JSON files that the program keeps for itself: one that is missing or damaged reads as empty."""

import json
import os


def read(path):
    """The dict in a JSON file; empty where the file is missing, damaged, or holds something else."""
    try:
        with open(path, encoding='utf-8') as file:
            content = json.load(file)
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def write(path, content):
    """Write a dict; the file is whole or as it was. Raises OSError."""
    new = f'{path}.{os.getpid()}.new'
    try:
        with open(new, 'w', encoding='utf-8') as file:
            json.dump(content, file, indent=1)
        os.replace(new, path)
    finally:
        if os.path.exists(new):
            os.remove(new)
