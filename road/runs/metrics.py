"""The metrics of a run, a row per epoch, and what is written after each epoch."""

import math
import sys
import time

from road import files
from road.errors import InputError, writing
from road.network.tf1 import tf
from road.progress import tqdm
from road.runs import checkpoints
from road.scoring.scorers import without_nan

# The columns of metrics.csv and of the screen, and their formats. Scores are in per cent, of a few
# training frames and of validation; IoU at a probability of 0.5, MaxF at that of threshold.
TWO_CLASSES = ('train_MaxF', 'train_IoU', 'val_MaxF', 'threshold', 'val_AP', 'val_IoU')
MULTICLASS = ('train_mean_IoU', 'val_mean_IoU', 'val_accuracy')
FORMATS = {
    'epoch': 'd', 'cross_entropy': '.6f', 'l2': '.6f',
    **dict.fromkeys(TWO_CLASSES + MULTICLASS, '.2f'),
    'threshold': '.4g', 'seconds': '.2f', 'images_per_s': '.1f', 'learning_rate': '.3g'}
TIMES = ('seconds', 'images_per_s')  # columns that differ between two runs of the same seed
TAGS = {  # of the columns that TensorBoard shows
    'cross_entropy': 'loss/cross_entropy', 'l2': 'loss/L2', 'train_MaxF': 'train/MaxF',
    'train_IoU': 'train/IoU', 'val_MaxF': 'validation/MaxF', 'val_AP': 'validation/AP',
    'val_IoU': 'validation/IoU', 'train_mean_IoU': 'train/mean_IoU',
    'val_mean_IoU': 'validation/mean_IoU', 'val_accuracy': 'validation/accuracy',
    'images_per_s': 'speed/images_per_s', 'learning_rate': 'speed/learning_rate'}


def columns(num_classes):
    """The names of the columns, in order, of a run with this number of classes."""
    others = MULTICLASS if num_classes == 2 else TWO_CLASSES
    return [name for name in FORMATS if name not in others]


def fields(row):
    """The cells of a row as text: {'epoch': '3', ...}."""
    return {name: format(value, FORMATS[name]) for name, value in row.items()}


def _line(cells):
    """{name of a column: text} as a line of the table on the screen."""
    return ' '.join(f'{text:>{max(6, len(name))}s}' for name, text in cells.items())


def format_scores(row):
    """The epoch of a row and its validation scores, as text."""
    cells = fields(row)
    if 'val_MaxF' not in row:
        return 'epoch {epoch}, mean IoU {val_mean_IoU} %, accuracy {val_accuracy} %'.format(**cells)
    iou = row['val_MaxF'] / (2 - row['val_MaxF'] / 100)  # IoU = F / (2 - F) at any threshold
    return ('epoch {epoch}, MaxF {val_MaxF} % and IoU {iou:.2f} % at threshold {threshold} '
            '(IoU {val_IoU} % at 0.5), AP {val_AP} %').format(**cells, iou=iou)


def are_rows(value, num_classes):
    """Whether a value read from a file is a list of rows, one or more."""
    try:
        return {tuple(fields(row)) for row in value} == {tuple(columns(num_classes))}
    except (TypeError, ValueError, KeyError, AttributeError):
        return False


def score_of(row):
    """The score that decides which epoch is best: validation MaxF or, multiclass, mean IoU."""
    return row['val_MaxF' if 'val_MaxF' in row else 'val_mean_IoU']


def best_of(rows):
    """The row with the highest score_of, the first of equals; the last if all are NaN."""
    scored = [row for row in rows if not math.isnan(score_of(row))]
    return max(scored, key=score_of) if scored else rows[-1]


def peak_memory():
    """The most memory that this process has had at a time, GiB; None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(largest / (2**30 if sys.platform == 'darwin' else 2**20), 2)  # bytes there, or KiB


class Metrics:
    """The rows of a run, and its checkpoints, metrics.csv and events, written after each epoch.

    A new Metrics restores the session's variables from the checkpoint `last` or, where that was
    deleted to save room, the weights of `best`. The folder of `run` must be locked; `model` has
    `saver` and `weights_saver`, each a tf.train.Saver.
    """

    def __init__(self, run, sess, model, validation):
        self.run, self.sess, self.model, self.rows = run, sess, model, []
        self.validation = validation
        run.record()  # a resumed run may have other paths, or more epochs
        name = checkpoints.latest(run.folder)
        if name == 'last':
            self._resume()
        elif name == 'best':
            self.rows = run.read_checkpoint('best')[1]['rows']
            self.restore_best()
            print(f'Warning: {run.checkpoint("last")} is missing; training continues after epoch '
                  f'{self.epoch}, the best, with a new optimizer; the results are no longer those '
                  'of a run in one go')
        files.remove(f'{run.folder}/metrics.json')  # a run that has it is complete
        self._write_csv()  # a killed process may have left a row more or less than `last` has
        folder = f'{run.folder}/events'
        with writing(folder):
            self.events = tf.summary.FileWriter(folder)
            # TensorBoard drops what a killed process wrote of this epoch and later ones
            self.events.add_session_log(tf.SessionLog(status=tf.SessionLog.START), self.epoch + 1)
        print(_line({name: name for name in columns(len(run.classes))}))
        for row in self.rows:
            print(_line(fields(row)))
        self.clock = time.perf_counter()

    def _resume(self):
        """Restore `last`; write `best`, which comes after it, again if a kill came between."""
        prefix, state = self.run.read_checkpoint('last')
        checkpoints.restore(self.model.saver, self.sess, prefix)
        self.rows = state['rows']
        best = self.run.checkpoint('best')
        found = self.run.read_checkpoint('best')[1]['epoch'] if checkpoints.exists(best) else None
        if found != self.best['epoch']:
            if self.best is not self.rows[-1]:
                what = f'is of epoch {found}' if found else 'is missing'
                raise InputError(f'{best}: {what}, but the best epoch in {prefix} is '
                                 f"{self.best['epoch']}; put the run's own checkpoint back, or "
                                 'train a new run')
            self._save('best', self.model.weights_saver)
        for name in ('last', 'best'):
            checkpoints.tidy(self.run.checkpoint(name))

    @property
    def epoch(self):
        """The number of finished epochs."""
        return len(self.rows)

    @property
    def best(self):
        return best_of(self.rows)

    def add_epoch(self, epoch, losses, images_per_second, learning_rate):
        """Score the epoch, write everything, and print its row.

        losses: means of (cross-entropy, L2); learning_rate: of the first step. Raises OSError if
        something cannot be written; what was there before is kept.
        """
        values = self.validation.scores()
        before, self.clock = self.clock, time.perf_counter()
        values.update(epoch=epoch, cross_entropy=float(losses[0]), l2=float(losses[1]),
                      seconds=self.clock - before, images_per_s=images_per_second,
                      learning_rate=learning_rate)
        row = {name: values[name] for name in columns(len(self.run.classes))}
        self.rows.append(row)
        self._save('last', self.model.saver)
        if self.best is row:
            self._save('best', self.model.weights_saver)
        self._write_csv()
        # made by hand, because the graph is final
        events = [tf.Summary.Value(tag=tag, simple_value=row[name])
                  for name, tag in TAGS.items() if name in row]
        with writing(self.events.get_logdir()):
            self.events.add_summary(tf.Summary(value=events), epoch)
            self.events.flush()
        tqdm.write(_line(fields(row)))

    def restore_best(self):
        """Give the session the weights of the best epoch."""
        prefix, _ = self.run.read_checkpoint('best')
        checkpoints.restore(self.model.weights_saver, self.sess, prefix)

    def finish(self):
        """Write metrics.json (scores in per cent, null if not defined) and print the best epoch."""
        self.events.close()
        files.write_json(f'{self.run.folder}/metrics.json', {
            'epochs': self.epoch, 'best': without_nan(self.best),
            'last': without_nan(self.rows[-1]), 'peak_memory_gib': peak_memory(),
            'seconds': sum(row['seconds'] for row in self.rows)})
        if math.isnan(score_of(self.best)):
            missing = self.run.classes[1].name if len(self.run.classes) == 2 else 'of any class'
            print(f'Warning: no epoch has a validation score, because no pixel is {missing} in the '
                  f'validation labels; the last epoch, {self.epoch}, is used as the best')
            return
        print(f'Best on validation: {format_scores(self.best)}')

    def _save(self, name, saver):
        state = {'epoch': self.epoch, 'encoder': self.run.encoder,
                 'image_size': list(self.run.settings['image_size']), 'rows': self.rows}
        checkpoints.save(self.run.checkpoint(name), saver, self.sess, state)

    def _write_csv(self):
        lines = [columns(len(self.run.classes)), *(fields(row).values() for row in self.rows)]
        text = ''.join(','.join(line) + '\n' for line in lines)
        files.write_text(f'{self.run.folder}/metrics.csv', text)
