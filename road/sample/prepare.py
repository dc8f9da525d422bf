"""What `main.py --sample` needs, with no download: the drawn data set and the encoder's graph.

The encoder is a narrow VGG16 whose trained weights are in encoder.npz, beside this file.
tools/train_sample_encoder.py trains them on drawn scenes, and says how.
"""

import os

from road.errors import InputError
from road.files import lock
from road.network import vgg_folder
from road.network.vgg_weights import read_weights

WEIGHTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'encoder.npz')


def make_sample(kitti_dir, vgg_dir):
    """Write what is missing; InputError if a folder holds something that was not made here."""
    from road.sample import scenes  # here, because SciPy takes half a second to import
    with lock(kitti_dir):
        scenes.write_dataset(kitti_dir)
        make_encoder(vgg_dir)


def make_encoder(vgg_dir):
    """Write the encoder's graph; one of other weights, or by an older version, is replaced."""
    source, weights = 'road/sample/encoder.npz', read_weights(WEIGHTS)
    record = vgg_folder.read_record(vgg_dir)
    if vgg_folder.is_own(vgg_dir) and record['fingerprint'] == vgg_folder.fingerprint(weights):
        return
    if os.path.lexists(vgg_dir) and record.get('source') != source:
        raise InputError(f"{vgg_dir}: holds something other than the sample's encoder; move it "
                         'away or name another folder with --data-dir')
    vgg_folder.save(weights, vgg_dir, source)
