"""Scores of a network after every epoch, on frames whose labels stay in memory."""

from road.data.batches import Sample
from road.network.predictor import BATCH
from road.prefetch import batched, prefetch
from road.scoring.scorers import make_scorer


class Validation:
    """Scores a predictor on the validation frames and on a few training frames.

    Args:
        predictor: road.network.predictor.Predictor.
        read: road.network.feature_cache.FeatureCache.read: samples => (network inputs, labels).
        data: road.data.dataset.Dataset.
    """

    def __init__(self, predictor, read, data):
        self.predictor, self.read, self.data = predictor, read, data
        labels = prefetch(lambda frame: data.read_label(frame.label), data.scored)
        self.labels = dict(zip(data.scored, labels))

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
        """Yield (frame, label, confidence).

        label is uint8 [h, w], classes, at the frame's full size; confidence is what
        Predictor.confidences gives, at the network's size.
        """
        batches = list(batched(frames, BATCH))
        samples = ([Sample(frame, light=self.predictor.light) for frame in batch]
                   for batch in batches)
        inputs = prefetch(lambda batch: self.read(batch)[0], samples)
        for batch, values in zip(batches, inputs):
            for frame, confidence in zip(batch, self.predictor.confidences(values)):
                yield frame, self.labels[frame], confidence
