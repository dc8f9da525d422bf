"""Data sets on disk, labels, augmentation, batches, checks, downloads."""

NOT_VALID = 255  # in a label: the pixel does not count
