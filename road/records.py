"""The figures of a run's epochs, and what is kept of them on disk: metrics.csv, metrics.json, checkpoints, events.

    record = Record(run, model.saver, model.weights, sess)      # goes on where the run's checkpoint `last` is
    print(record.add(epoch, ...))                # a row for the screen; everything on disk is then of this epoch
"""

import json
import os
import time

from road import checkpoints, events, kitti
from road.checkpoints import write_whole

# How each figure of an epoch is written, on the screen and in metrics.csv. Scores are in per cent; train scores are of
# a few training frames, the others of the validation frames.
FORMATS = {'epoch': 'd', 'cross_entropy': '.6f', 'l2': '.6f', 'train_MaxF': '.2f', 'train_IoU': '.2f', 'val_MaxF': '.2f',
           'val_AP': '.2f', 'val_IoU': '.2f', 'seconds': '.2f', 'images_per_s': '.1f', 'learning_rate': '.3g'}
TIMES = ('seconds', 'images_per_s')  # what differs between two runs of the same seed
HEADER = '  '.join(f'{name:>6s}' for name in FORMATS)


def fields(row):
    """A row's figures as text: {'epoch': '3', ...}."""
    return {name: format(row[name], form) for name, form in FORMATS.items()}


def line(row):
    """A row for the screen, below HEADER."""
    return '  '.join(f'{text:>{max(6, len(name))}s}' for name, text in fields(row).items())


def sound(rows):
    """Whether this, read from a file, is a list of rows."""
    return isinstance(rows, list) and rows != [] and all(
        isinstance(row, dict) and row.keys() == FORMATS.keys() and isinstance(row['epoch'], int) and
        all(isinstance(value, (int, float)) for value in row.values()) for row in rows)


def best_of(rows):
    """The row with the highest validation MaxF, the first of equals; NaN, where no pixel counts, beats nothing."""
    best = rows[0]
    for row in rows[1:]:
        if row['val_MaxF'] > best['val_MaxF']:
            best = row
    return best


PICTURE_EPOCHS = 10


class Record:
    """What a run has reached, kept on disk after every epoch: rows, and the checkpoints last and best (weights alone).

    A run that was stopped goes on where its checkpoint `last` is; the session's variables are then restored.
    """

    def __init__(self, run, saver, weights, sess):
        self.run, self.saver, self.weights, self.sess, self.rows = run, saver, weights, sess, []
        if checkpoints.exists(run.checkpoint('last')):
            prefix, state = run.read_checkpoint('last')
            checkpoints.restore(saver, sess, prefix)
            self.rows = state['rows']
            run.read_checkpoint('best')  # written before last, so it must be there and whole
            for name in ('last', 'best'):
                checkpoints.tidy(run.checkpoint(name))
        if os.path.exists(os.path.join(run.folder, 'metrics.json')):
            os.remove(os.path.join(run.folder, 'metrics.json'))  # it stands for a run that is through
        self._write_csv()  # a killed process may have left a row more than its checkpoint has, or one less
        self.events = events.Events(os.path.join(run.folder, 'events'), len(self.rows) + 1)
        self.clock = time.perf_counter()

    def add(self, epoch, cross_entropy, l2, rate, images_per_second, of_training, of_validation):
        """Keep an epoch: its mean losses, the learning rate it began with, its speed, and road.scores.Scores of training and validation frames.

        Returns:
            the epoch's line for the screen.
        Raises:
            InputError: something cannot be written; what was there before is kept.
        """
        now = time.perf_counter()
        row = {'epoch': epoch, 'cross_entropy': float(cross_entropy), 'l2': float(l2), 'train_MaxF': 100 * of_training.MaxF,
               'train_IoU': 100 * of_training.IoU, 'val_MaxF': 100 * of_validation.MaxF, 'val_AP': 100 * of_validation.AP,
               'val_IoU': 100 * of_validation.IoU, 'seconds': now - self.clock, 'images_per_s': images_per_second,
               'learning_rate': rate}
        self.clock = now
        self.rows.append(row)
        state = {'epoch': row['epoch'], 'step': row['epoch'] * -(-len(self.run.training) // self.run.settings['batch_size']),
                 'seed': self.run.settings['seed'], 'encoder': self.run.encoder,
                 'image_size': list(self.run.settings['image_size'])}
        if self.best is row:
            checkpoints.save(self.run.checkpoint('best'), self.weights, self.sess, {**state, 'rows': [row]})
        checkpoints.save(self.run.checkpoint('last'), self.saver, self.sess, {**state, 'rows': self.rows})
        self._write_csv()
        self.events.scalars(row)
        return line(row)

    def wants_pictures(self, epoch):
        """Whether add_pictures is to be called for the epoch: the first and every tenth."""
        return epoch == 1 or epoch % PICTURE_EPOCHS == 0

    def add_pictures(self, epoch, outputs):
        """Show validation images in TensorBoard; outputs yields (frame, road, counts, confidence), [h, w] each."""
        self.events.pictures(epoch, {f'validation/{frame.name}': events.label_and_confidence(
            kitti.read_image(frame.image), road, counts, confidence) for frame, road, counts, confidence in outputs})

    @property
    def best(self):
        return best_of(self.rows)

    def restore_best(self):
        checkpoints.restore(self.weights, self.sess, self.run.decoder)

    def _write_csv(self):
        lines = [','.join(FORMATS)] + [','.join(fields(row).values()) for row in self.rows]
        write_whole(os.path.join(self.run.folder, 'metrics.csv'), '\n'.join(lines) + '\n')

    def finish(self):
        """Close the records and write metrics.json, the final figures (scores in per cent, null where one is not defined)."""
        def defined(row):
            return {key: value if value == value else None for key, value in row.items()}

        self.events.close()
        figures = {'epochs': len(self.rows), 'best': defined(self.best), 'last': defined(self.rows[-1]),
                   'seconds': sum(row['seconds'] for row in self.rows)}
        write_whole(os.path.join(self.run.folder, 'metrics.json'), json.dumps(figures, indent=1))
