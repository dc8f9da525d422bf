"""What two runs of the same settings must share; and probabilities of two classes."""

import csv
from pathlib import Path

import numpy as np

from road.runs.metrics import TIMES


def results(run):
    """{file: content}: metrics without times, checkpoints, painted images."""
    with open(f'{run}/metrics.csv', encoding='utf-8') as file:
        rows = [{name: row[name] for name in row.keys() - TIMES} for row in csv.DictReader(file)]
    paths = [*Path(run).glob('checkpoints/*/*.data-*'), *Path(run).glob('images/*')]
    assert len(paths) > 2
    return {'metrics.csv': rows,
            **{str(path.relative_to(run)): path.read_bytes() for path in paths}}


def of_road(confidence):
    """Probabilities float32 [..., 2] for the probability of road."""
    return np.stack([np.subtract(1, confidence), confidence], axis=-1).astype(np.float32)
