"""Figures and pictures of the training for TensorBoard: `tensorboard --logdir runs`.

The records are put together by hand, so that nothing is added to the graph and no graph is written.
"""

import imageio.v3 as iio
import numpy as np
from PIL import Image

from road.errors import cannot_write
from road.tf1 import tf

TAGS = {'cross_entropy': 'loss/cross_entropy', 'l2': 'loss/L2', 'train_MaxF': 'train/MaxF', 'train_IoU': 'train/IoU',
        'val_MaxF': 'validation/MaxF', 'val_AP': 'validation/AP', 'val_IoU': 'validation/IoU',
        'images_per_s': 'speed/images_per_s', 'learning_rate': 'speed/learning_rate'}


class Events:
    """Writes event files into a folder; the step of a record is its epoch.

    Args:
        folder: of the event files; every start of a run adds one.
        first_epoch: the epoch this start begins with. TensorBoard drops what an earlier start, killed since, has
            written of that epoch and later ones.
    """

    def __init__(self, folder, first_epoch):
        self.folder, self.writer = folder, tf.summary.FileWriter(folder)
        self.writer.add_session_log(tf.SessionLog(status=tf.SessionLog.START), first_epoch)

    def scalars(self, row):
        """Add an epoch's figures (a row of road.records)."""
        self._add([tf.Summary.Value(tag=tag, simple_value=row[name]) for name, tag in TAGS.items()], row['epoch'])

    def pictures(self, epoch, pictures):
        """Add pictures: {tag: uint8 [h, w, 3]}."""
        values = []
        for tag, picture in pictures.items():
            image = tf.Summary.Image(height=picture.shape[0], width=picture.shape[1], colorspace=3,
                                     encoded_image_string=iio.imwrite('<bytes>', picture, extension='.png'))
            values.append(tf.Summary.Value(tag=tag, image=image))
        self._add(values, epoch)

    def _add(self, values, epoch):
        try:
            self.writer.add_summary(tf.Summary(value=values), epoch)
            self.writer.flush()
        except (OSError, tf.errors.OpError) as error:
            raise cannot_write(self.folder, error) from error

    def close(self):
        self.writer.close()


def label_and_confidence(image, road, counts, confidence):
    """One picture of three, half as large: image, label in KITTI's colours, confidence in grey.

    image: uint8 [h, w, 3]; road, counts: bool [h, w]; confidence: float32 [h, w] in [0, 1].
    """
    label = np.stack([counts, np.zeros_like(road), road], -1).astype(np.uint8) * 255
    grey = np.repeat(np.rint(confidence * 255).astype(np.uint8)[..., np.newaxis], 3, axis=-1)
    half = image.shape[1] // 2, image.shape[0] // 2
    return np.concatenate([np.asarray(Image.fromarray(part).resize(half)) for part in (image, label, grey)])
