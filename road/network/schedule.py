"""Learning rates over the course of training."""

import numpy as np

WARM_UP = 0.05  # share of the training in which the cosine schedule rises


def make_schedule(name, learning_rate):
    """A function from the share of the training that is done, 0 to 1, to the learning rate.

    name is 'constant', or 'cosine', which rises to learning_rate and then falls to 0.
    """
    def cosine(progress):
        if progress < WARM_UP:
            return learning_rate * (progress / WARM_UP * 0.99 + 0.01)
        return learning_rate * (1 + np.cos(np.pi * (progress - WARM_UP) / (1 - WARM_UP))) / 2

    return cosine if name == 'cosine' else lambda progress: learning_rate
