"""Scores of a network after every epoch, on frames whose labels stay in memory."""

import zlib

import numpy as np

from road.data.batches import sample_of
from road.network.predictor import BATCH
from road.prefetch import batched, prefetch
from road.scoring.scorers import make_scorer


class Validation:
    """Scores a Predictor on the validation frames and a few training frames of a Dataset.

    read: road.network.feature_cache.FeatureCache.read, samples => (network inputs, labels).
    """

    def __init__(self, predictor, read, data):
        self.predictor, self.read, self.data = predictor, read, data
        self._labels = {}  # compressed: at full size those of large photos fill the memory

    def scores(self):
        """Scores in per cent {'train_MaxF': ..., ...}, and of two classes the threshold of MaxF."""
        found = {}
        for split, frames in ('train', self.data.scored_training), ('val', self.data.validation):
            scorer = make_scorer(self.data.classes)
            scorer.add(self.outputs(frames))
            for name, value in scorer.scores().items():
                if name == 'threshold':
                    found[name] = value  # in the end that of the validation frames
                else:
                    found[f'{split}_{name}'] = 100 * value
        return found

    def outputs(self, frames):
        """Yield (frame, label, confidence), frames of one shape together.

        label: uint8 [h, w], full size; confidence: as Predictor.confidences, the network's size.
        """
        samples = (sample_of(frame, self.predictor.image_shape, light=self.predictor.light)
                   for frame in frames)
        batches = list(batched(samples, BATCH, key=lambda sample: sample.shape))
        for batch, (values, labels) in zip(batches, prefetch(self._read, batches)):
            found = self.predictor.confidences(values, batch[0].shape)
            for (frame, *_), label, confidence in zip(batch, labels, found):
                yield frame, label, confidence

    def _read(self, batch):
        return self.read(batch)[0], [self._label(frame) for frame, *_ in batch]

    def _label(self, frame):
        if frame not in self._labels:
            label = self.data.read_label(frame.label)
            self._labels[frame] = label.shape, zlib.compress(label.tobytes(), 1)
        shape, compressed = self._labels[frame]
        return np.frombuffer(zlib.decompress(compressed), np.uint8).reshape(shape)
