"""Text tables for the screen."""


def table(rows):
    """Rows of cells as text, a line per row, columns aligned: numbers right, words left.

    Args:
        rows: list of equally long sequences of str; the first is the heading.
    """
    columns = []
    for column in zip(*rows):
        width = max(map(len, column))
        is_number = any(map(_is_number, column[1:]))
        columns.append([cell.rjust(width) if is_number else cell.ljust(width) for cell in column])
    return '\n'.join('  '.join(row).rstrip() for row in zip(*columns))


def _is_number(cell):
    try:
        float(cell.partition(' ')[0])  # '93.19 ± 0.06' too
    except ValueError:
        return False
    return True
