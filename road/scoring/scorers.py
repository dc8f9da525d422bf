"""Scores of frames: KITTI's with two classes, IoU with more.

    scorer = make_scorer(classes)
    scorer.add(outputs)            # (frame, label, probabilities), counted in threads
    scorer.scores()                # fractions: {'MaxF': 0.93, ...} or {'mean_IoU': 0.57, ...}
    print(scorer.format_scores())  # in per cent

Both scorers have the same methods. They keep counts of pixels, never the probabilities.
"""

import math

import numpy as np

from road.data.images import resize_confidence
from road.data.kitti import CATEGORIES
from road.errors import InputError
from road.prefetch import prefetch
from road.scoring import birdseye, confusion, scores
from road.tables import table

VIEWS = {'perspective': "perspective, at the images' full size",
         'birdseye': "bird's eye, 40 x 20 m at 0.05 m per pixel"}


def make_scorer(classes, **options):
    """The TwoClassScorer, with its options, or MulticlassScorer for road.data.dataset.Class."""
    return TwoClassScorer(**options) if len(classes) == 2 else MulticlassScorer(classes)


class TwoClassScorer:
    """KITTI's scores of class 1 (road), of all frames and of each category of KITTI Road.

    Also in bird's eye view, if asked for and the calibrations of all frames fit.
    """

    def __init__(self, with_birdseye=False, mask_threshold=0.5):
        self.with_birdseye, self.mask_threshold = with_birdseye, mask_threshold
        self.fault = None  # why there is no bird's eye view
        self.sums = {view: {} for view in VIEWS}  # {view: {category: histogram}}

    def add(self, outputs):
        """Count, in threads: (Frame, label uint8 [h, w], probabilities float32 [h, w, classes]).

        Probabilities of another size are resized to the label's.
        """
        for category, histograms, fault in prefetch(self._count, outputs, depth=8):
            self.fault = self.fault or fault
            for view, histogram in histograms.items():
                self.sums[view][category] = self.sums[view].get(category, 0) + histogram

    def _count(self, output):
        frame, label, probabilities = output
        grey = scores.to_grey(resize_confidence(probabilities, label.shape))
        fault = None
        histograms = {'perspective': confusion.confusion(grey, label, 2, scores.LEVELS)}
        if self.with_birdseye:
            try:
                calibration = birdseye.frame_calibration(frame, label.shape)
                # pixels outside the image become 0, which is ~255: they are ignored
                label = ~birdseye.to_birdseye(~label, calibration)
                grey = birdseye.to_birdseye(grey, calibration)
                histograms['birdseye'] = confusion.confusion(grey, label, 2, scores.LEVELS)
            except InputError as error:
                fault = str(error)
        return frame.category, histograms, fault

    def histograms(self):
        """{view: {'um': histogram, 'umm':, 'uu':, 'URBAN': of all}}, with 'all' for other data."""
        found = {}
        for view, sums in self.sums.items():
            if sums and not (view == 'birdseye' and self.fault):
                found[view] = {name: sums[name] for name in CATEGORIES if name in sums}
                found[view]['all' if '' in sums else 'URBAN'] = sum(sums.values())
        return found

    def scores(self):
        """{'MaxF': ...}: road.scoring.scores.Scores of all frames in the perspective view."""
        *_, of_all = self.histograms()['perspective'].values()
        return scores.scores(of_all, self.mask_threshold)._asdict()

    def format_scores(self):
        """The scores in per cent as text: a block per view, a row per category."""
        head = ['', *scores.Scores._fields[:-2], 'IoU at 0.5', f'IoU at {self.mask_threshold:.4g}']
        lines = []
        for view, categories in self.histograms().items():
            rows = [head]
            for name, levels in categories.items():
                best, threshold, *others = scores.scores(levels, self.mask_threshold)
                rows.append([name, f'{100 * best:.2f}', f'{threshold:.4g}',
                             *(f'{100 * score:.2f}' for score in others)])
            lines += [VIEWS[view], table(rows)]
        if self.fault:
            lines.append(f"No scores in bird's eye view: {self.fault}")
        return '\n'.join(lines)

    def as_json(self):
        """All scores as fractions, for JSON: {view: {category: {name: float or None}}}."""
        return {view: {name: without_nan(scores.scores(levels, self.mask_threshold)._asdict())
                       for name, levels in categories.items()}
                for view, categories in self.histograms().items()}

    def plot(self, title):
        """Precision over recall as Figure, a panel per view, a line per category."""
        from matplotlib.figure import Figure  # here, because importing it takes longer than scoring
        figure, histograms = Figure(figsize=(11, 5), layout='constrained'), self.histograms()
        figure.suptitle(title, parse_math=False)  # a name may have dollar signs
        panels = figure.subplots(1, len(histograms), squeeze=False)[0]
        for axes, (view, categories) in zip(panels, histograms.items()):
            for name, levels in categories.items():
                precision, recall = scores.curve(levels)
                row = scores.scores(levels)
                axes.plot(recall, precision, label=f'{name}: MaxF {row.MaxF:.2%}, AP {row.AP:.2%}')
            axes.set(title=VIEWS[view], xlabel='recall', ylabel='precision', ylim=(0.5, 1.005))
            axes.legend(loc='lower left')
        return figure


class MulticlassScorer:
    """IoU, recall and precision of each of many classes, mean IoU, accuracy: see TwoClassScorer."""

    def __init__(self, classes):
        self.classes = classes
        self.matrix = np.zeros((len(classes), len(classes)), np.int64)  # see confusion.confusion

    def add(self, outputs):
        """See TwoClassScorer.add."""
        for matrix in prefetch(self._count, outputs, depth=8):
            self.matrix += matrix

    def _count(self, output):
        _, label, probabilities = output
        prediction = confusion.predicted(probabilities, label.shape)
        return confusion.confusion(prediction, label, len(self.classes))

    def rates(self):
        """{'IoU': float64 [classes], 'recall':, 'precision':}, NaN where a class has no pixels."""
        hits = np.diag(self.matrix)
        labelled, predicted = self.matrix.sum(axis=1), self.matrix.sum(axis=0)
        with np.errstate(invalid='ignore'):  # 0/0
            return {'IoU': hits / (labelled + predicted - hits), 'recall': hits / labelled,
                    'precision': hits / predicted}

    def scores(self):
        """The mean IoU over the classes that have one, and the share of pixels that are right."""
        ious = self.rates()['IoU']
        ious = ious[~np.isnan(ious)]
        with np.errstate(invalid='ignore'):  # 0/0
            return {'mean_IoU': float(ious.sum() / len(ious)),
                    'accuracy': float(np.trace(self.matrix) / self.matrix.sum())}

    def format_scores(self):
        """The scores in per cent as text: the means, and a row per class with its confusions."""
        rates, labelled = self.rates(), self.matrix.sum(axis=1)
        rates['share of pixels'] = labelled / max(labelled.sum(), 1)
        rows = [['', *rates, 'taken for, share of its pixels']]
        for i, each in enumerate(self.classes):
            wrong = np.where(np.arange(len(self.classes)) == i, 0, self.matrix[i])
            most = [f'{self.classes[j].name} {wrong[j] / labelled[i]:.1%}'
                    for j in np.argsort(-wrong, kind='stable')[:3] if wrong[j]]
            rows.append([each.name, *(f'{100 * values[i]:.2f}' for values in rates.values()),
                         ', '.join(most)])
        for name, score in zip(('mean IoU', 'global accuracy'), self.scores().values()):
            rows.append([name, f'{100 * score:.2f}', '', '', '', ''])
        return table(rows)

    def as_json(self):
        """All scores as fractions, and the confusion matrix: rows labelled, columns predicted."""
        names = [each.name for each in self.classes]
        rates = {rate: without_nan(dict(zip(names, values.tolist())))
                 for rate, values in self.rates().items()}
        return {**without_nan(self.scores()), **rates, 'confusion': self.matrix.tolist()}

    def plot(self, title):
        """The IoU of each class as Figure, a bar in the class's colour."""
        from matplotlib.figure import Figure
        figure = Figure(figsize=(8, 1.5 + 0.3 * len(self.classes)), layout='constrained')
        axes = figure.subplots()
        values = self.rates()['IoU']
        names = [f'{each.name}  {iou:.1%}' for each, iou in zip(self.classes, values)]
        axes.barh(range(len(names)), np.nan_to_num(values), edgecolor='black', linewidth=0.5,
                  color=[np.divide(each.colour, 255) for each in self.classes])
        axes.set_yticks(range(len(names)), names, parse_math=False)
        axes.invert_yaxis()
        axes.set_title(f'{title}\nmean IoU {self.scores()["mean_IoU"]:.2%}', parse_math=False)
        axes.set(xlabel='IoU', xlim=(0, 1))
        return figure


def without_nan(values):
    """A dict of floats with None, which JSON has, in place of NaN."""
    return {name: None if math.isnan(value) else value for name, value in values.items()}
