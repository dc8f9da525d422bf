"""What `main.py --sample` needs, with no download: the drawn data set and the encoder's graph."""

from road.files import lock


def make_sample(kitti_dir, vgg_dir):
    """Write the data set and the encoder's graph where they are missing.

    Raises InputError if one of the folders holds something that was not made here.
    """
    from road.sample import encoder, scenes  # here, because SciPy takes half a second to import
    with lock(kitti_dir):
        scenes.write_dataset(kitti_dir)
        encoder.make_encoder(vgg_dir)
