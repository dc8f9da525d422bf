"""Data sets on disk, labels, augmentation, batches, checks, downloads."""

IGNORE_LABEL = 255  # in a label: the pixel is ignored
