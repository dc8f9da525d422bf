"""Metrics and pictures of a training for TensorBoard: `tensorboard --logdir runs`.

The event messages are made by hand, so that nothing is added to the graph and no graph is written.
"""

import imageio.v3 as iio
import numpy as np
from PIL import Image

from road.data.images import read_image
from road.errors import writing
from road.network.tf1 import tf
from road.runs.painting import class_colours
from road.scoring.confusion import predicted

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

    def add_scalars(self, row):
        """Add an epoch's row of road.runs.metrics."""
        self._add(row['epoch'], [tf.Summary.Value(tag=tag, simple_value=row[name])
                                 for name, tag in TAGS.items() if name in row])

    def add_pictures(self, epoch, outputs, classes):
        """Show each (frame, label, probabilities) at half size: image, label and what was found.

        That is the probability of road in grey; of more than two classes (road.data.dataset.Class)
        the prediction in their colours, which the label has too.
        """
        values = []
        for frame, label, probabilities in outputs:
            if len(classes) > 2:
                found = class_colours(predicted(probabilities, label.shape), classes)
            else:
                found = np.rint(probabilities[..., 1] * 255).astype(np.uint8)
            height, width = (max(side // 2, 1) for side in label.shape)
            parts = read_image(frame.image, frame.bits), class_colours(label, classes), found
            picture = np.concatenate([Image.fromarray(part).convert('RGB').resize((width, height))
                                      for part in parts])
            tag = f'validation/{frame.name}'.encode(errors='replace').decode()  # may be no UTF-8
            values.append(tf.Summary.Value(tag=tag, image=tf.Summary.Image(
                height=3 * height, width=width, colorspace=3,
                encoded_image_string=iio.imwrite('<bytes>', picture, extension='.png'))))
        self._add(epoch, values)

    def close(self):
        self.writer.close()

    def _add(self, epoch, values):
        with writing(self.folder):
            self.writer.add_summary(tf.Summary(value=values), epoch)
            self.writer.flush()
