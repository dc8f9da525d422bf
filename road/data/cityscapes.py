"""Cityscapes on disk, and KITTI's semantic segmentation set, which has the same ids.

    <folder>/leftImg8bit/{train,val,test}/CITY/NAME_leftImg8bit.png      1024x2048
    <folder>/gtFine/{train,val}/CITY/NAME_gtFine_labelIds.png            or _labelTrainIds.png

    <folder>/training/{image_2,semantic}/000000_10.png                   KITTI, 375x1242
    <folder>/testing/image_2/000000_10.png

M. Cordts et al., "The Cityscapes dataset for semantic urban scene understanding", CVPR 2016; the 19
classes that are scored, their ids and colours are those of cityscapesScripts (helpers/labels.py).
"""

from road.data import IGNORE_LABEL
from road.data.dataset import Class, Dataset, find_splits, list_images
from road.data.labels import LabelRule

IDS_AND_COLOURS = {
    'road': (7, (128, 64, 128)), 'sidewalk': (8, (244, 35, 232)), 'building': (11, (70, 70, 70)),
    'wall': (12, (102, 102, 156)), 'fence': (13, (190, 153, 153)), 'pole': (17, (153, 153, 153)),
    'traffic light': (19, (250, 170, 30)), 'traffic sign': (20, (220, 220, 0)),
    'vegetation': (21, (107, 142, 35)), 'terrain': (22, (152, 251, 152)),
    'sky': (23, (70, 130, 180)), 'person': (24, (220, 20, 60)), 'rider': (25, (255, 0, 0)),
    'car': (26, (0, 0, 142)), 'truck': (27, (0, 0, 70)), 'bus': (28, (0, 60, 100)),
    'train': (31, (0, 80, 100)), 'motorcycle': (32, (0, 0, 230)), 'bicycle': (33, (119, 11, 32))}
CLASSES = tuple(Class(name, colour) for name, (_, colour) in IDS_AND_COLOURS.items())
_SCORED = {value: i for i, (value, _) in enumerate(IDS_AND_COLOURS.values())}
IDS = LabelRule(False, {**dict.fromkeys([*range(34), 255], IGNORE_LABEL), **_SCORED},
                'labelIds are 0 to 33, and 255 for ignored pixels')
TRAIN_IDS = LabelRule(False, {**{i: i for i in range(len(CLASSES))}, 255: IGNORE_LABEL},
                      'labelTrainIds are 0 to 18, and 255 for ignored pixels')


def find_cityscapes(folder):
    """The Dataset of a Cityscapes folder, by names alone; test images may be missing."""
    rule, name = IDS, '_gtFine_labelIds'
    if not list_images(f'{folder}/gtFine/train', f'(.*){name}'):
        rule, name = TRAIN_IDS, '_gtFine_labelTrainIds'
    splits = {split: (f'leftImg8bit/{split}', f'gtFine/{split}') for split in ('train', 'val')}
    splits['test'] = 'leftImg8bit/test', None  # their public labels are empty
    return Dataset('cityscapes', 'Cityscapes', folder, CLASSES, rule, *find_splits(
        folder, splits, 'Cityscapes has leftImg8bit/train/CITY/NAME_leftImg8bit.png and '
        f'gtFine/train/CITY/NAME{name}.png, and the same for val',
        ('(.*)_leftImg8bit', f'(.*){name}')))


def find_kitti_semantics(folder):
    """The Dataset of KITTI's semantic segmentation set; the last 15 % validate."""
    splits = {'train': ('training/image_2', 'training/semantic'), 'test': ('testing/image_2', None)}
    return Dataset('kitti-semantics', 'KITTI semantics', folder, CLASSES, IDS, *find_splits(
        folder, splits, 'data_semantics.zip has training/image_2/NAME.png and '
        'training/semantic/NAME.png'))
