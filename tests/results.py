"""Variables of checkpoints; changed files; probabilities of two classes."""

import numpy as np

from road.files import read_json, write_json
from road.network.tf1 import tf
from road.runs import checkpoints


def variables(checkpoint):
    """{name: value} of all variables in a checkpoint, the optimizers' included."""
    reader = tf.train.load_checkpoint(checkpoints.read(checkpoint)[0])
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def edit(path, **changes):
    """Change values in a JSON file."""
    write_json(path, {**read_json(path), **changes})


def of_road(confidence):
    """Probabilities float32 [..., 2] for the probability of road."""
    return np.stack([np.subtract(1, confidence), confidence], axis=-1).astype(np.float32)
