"""Scores of a network after every epoch, on frames whose labels stay in memory."""

from road.data.batches import Sample
from road.data.images import resize_confidence
from road.prefetch import batched, prefetch
from road.scoring import confusion, scores

BATCH = 4


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
        """The scores of an epoch in per cent, by their columns in road.runs.metrics."""
        score = self._score_two if len(self.data.classes) == 2 else self._score_many
        train, val = score(self.data.scored_training), score(self.data.validation)
        names = ('MaxF', 'IoU') if len(self.data.classes) == 2 else ('mean_IoU',)
        return {**{f'train_{name}': train[name] for name in names},
                **{f'val_{name}': value for name, value in val.items()}}

    def _score_two(self, frames):
        of_all = scores.scores(sum(scores.histogram(confidence, label)
                                   for _, label, confidence in self.outputs(frames)))
        return {name: 100 * getattr(of_all, name) for name in ('MaxF', 'AP', 'IoU')}

    def _score_many(self, frames):
        def count(output):
            _, label, probabilities = output
            found = confusion.predicted_at(probabilities, label.shape)
            return confusion.confusion(found, label, len(self.data.classes))

        of_all = sum(prefetch(count, self._small_outputs(frames)))
        return {'mean_IoU': 100 * confusion.mean_iou(of_all),
                'accuracy': 100 * confusion.accuracy(of_all)}

    def outputs(self, frames):
        """Yield (frame, label, confidence) at the frame's full size.

        label is uint8 [h, w], classes; confidence is what Predictor.predict gives.
        """
        for frame, label, confidence in self._small_outputs(frames):
            yield frame, label, resize_confidence(confidence, label.shape)

    def _small_outputs(self, frames):
        """As outputs, with confidences of the network's size."""
        batches = list(batched(frames, BATCH))
        seen = self.predictor.seen
        inputs = prefetch(lambda batch: self.read([Sample(frame, seen) for frame in batch])[0],
                          batches)
        for batch, values in zip(batches, inputs):
            for frame, confidence in zip(batch, self.predictor.confidences(values)):
                yield frame, self.labels[frame], confidence
