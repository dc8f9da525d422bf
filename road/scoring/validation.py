"""Scores of a network after every epoch, on frames whose labels stay in memory."""

from road.data.batches import Sample
from road.data.images import resize_confidence
from road.data.kitti import read_label
from road.prefetch import batched, prefetch
from road.scoring import scores

BATCH = 4


class Validation:
    """Scores a predictor on the validation frames and on a few training frames.

    Args:
        predictor: road.network.predictor.Predictor.
        read: road.network.feature_cache.FeatureCache.read: samples => (network inputs, labels).
        data: road.data.dataset.Data.
    """

    def __init__(self, predictor, read, data):
        self.predictor, self.read, self.data = predictor, read, data
        labels = prefetch(lambda frame: read_label(frame.label), data.scored)
        self.labels = {frame.name: label for frame, label in zip(data.scored, labels)}

    def scores(self):
        """(road.scoring.scores.Scores of the training frames, Scores of the validation frames)."""
        return self._score(self.data.scored_training), self._score(self.data.validation)

    def _score(self, frames):
        """Scores of all categories together."""
        histograms = {frame.name: scores.histogram(confidence, road, valid)
                      for frame, road, valid, confidence in self.outputs(frames)}
        return scores.scores(scores.pool(histograms)['URBAN'])

    def outputs(self, frames):
        """Yield (frame, road, valid, confidence), [h, w] each at the frame's full size.

        road and valid are bool, confidence is float32 in [0, 1].
        """
        batches = list(batched(frames, BATCH))
        inputs = prefetch(lambda batch: self.read([Sample(frame) for frame in batch])[0], batches)
        for batch, values in zip(batches, inputs):
            for frame, confidence in zip(batch, self.predictor.confidences(values)):
                road, valid = self.labels[frame.name]
                yield frame, road, valid, resize_confidence(confidence, road.shape)
