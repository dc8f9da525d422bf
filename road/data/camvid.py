"""CamVid on disk, as the SegNet tutorial ships it: 367 train, 101 val, 233 test images, 480x360.

    <folder>/{train,val,test}/0001TP_006690.png
    <folder>/{train,val,test}annot/0001TP_006690.png    8-bit ids, 0 to 10; 11 is ignored

G. Brostow, J. Fauqueur, R. Cipolla, "Semantic object classes in video", 2009. The 11 classes and
their colours: V. Badrinarayanan, A. Kendall, R. Cipolla, "SegNet", 2017.
"""

from road.data import IGNORE_LABEL
from road.data.dataset import Class, Dataset, find_splits
from road.data.labels import LabelRule

CLASSES = tuple(Class(name, colour) for name, colour in {
    'sky': (128, 128, 128), 'building': (128, 0, 0), 'pole': (192, 192, 128),
    'road': (128, 64, 128), 'pavement': (60, 40, 222), 'tree': (128, 128, 0),
    'sign': (192, 128, 128), 'fence': (64, 64, 128), 'car': (64, 0, 128),
    'pedestrian': (64, 64, 0), 'bicyclist': (0, 128, 192)}.items())
RULE = LabelRule(False, {**{i: i for i in range(len(CLASSES))}, len(CLASSES): IGNORE_LABEL},
                 'CamVid has the ids 0 to 10, and 11 for ignored pixels')


def find_dataset(folder):
    """The Dataset of a CamVid folder, by names alone; test images and their labels are optional."""
    splits = {split: (split, f'{split}annot') for split in ('train', 'val', 'test')}
    return Dataset('camvid', 'CamVid', folder, CLASSES, RULE, *find_splits(
        folder, splits, 'CamVid has train/NAME.png and trainannot/NAME.png, and the same for val'))
