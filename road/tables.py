"""Text tables for the screen."""

import re


def table(rows):
    """Rows of str, the heading first, as text with aligned columns: numbers right, words left."""
    columns = []
    for column in zip(*rows):
        width = max(map(len, column))
        # '93.19 ± 0.06' too
        is_number = any(re.match(r'(-?[\d.]+|nan)( |$)', cell) for cell in column[1:])
        columns.append([cell.rjust(width) if is_number else cell.ljust(width) for cell in column])
    return '\n'.join('  '.join(row).rstrip() for row in zip(*columns))
