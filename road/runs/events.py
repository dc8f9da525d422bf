"""The metrics of a training for TensorBoard: `tensorboard --logdir runs`.

The event messages are made by hand, so that nothing is added to the graph and no graph is written.
"""

from road.errors import writing
from road.network.tf1 import tf

TAGS = {
    'cross_entropy': 'loss/cross_entropy', 'l2': 'loss/L2', 'train_MaxF': 'train/MaxF',
    'train_IoU': 'train/IoU', 'val_MaxF': 'validation/MaxF', 'val_AP': 'validation/AP',
    'val_IoU': 'validation/IoU', 'train_mean_IoU': 'train/mean_IoU',
    'val_mean_IoU': 'validation/mean_IoU', 'val_accuracy': 'validation/accuracy',
    'images_per_s': 'speed/images_per_s', 'learning_rate': 'speed/learning_rate'}


class Events:
    """Writes an event file into a folder; the step of an event is its epoch.

    TensorBoard drops what an earlier, killed start wrote of first_epoch and later ones.
    """

    def __init__(self, folder, first_epoch):
        self.folder = folder
        with writing(folder):
            self.writer = tf.summary.FileWriter(folder)
            self.writer.add_session_log(tf.SessionLog(status=tf.SessionLog.START), first_epoch)

    def add(self, row):
        """Add an epoch's row of road.runs.metrics."""
        values = [tf.Summary.Value(tag=tag, simple_value=row[name])
                  for name, tag in TAGS.items() if name in row]
        with writing(self.folder):
            self.writer.add_summary(tf.Summary(value=values), row['epoch'])
            self.writer.flush()

    def close(self):
        self.writer.close()
