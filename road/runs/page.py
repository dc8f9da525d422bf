"""evaluation-<split>/index.html: what a network got right and wrong in each frame, to look at.

page.html is the page. It needs no server, so it cannot read the pixels of image files; SVG filters
paint what the planes of a PNG say. Files are numbered, because a frame may have any name.
"""

import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from road.data import IGNORE_LABEL
from road.data.images import read_image, resize_confidence
from road.files import write_text
from road.prefetch import prefetch
from road.scoring import scores
from road.scoring.confusion import confusion, predicted

TEMPLATE = Path(__file__).with_name('page.html')
LARGEST_SIDE = 1024  # pixels of the pictures; a frame of KITTI takes about 0.15 MB


class Page:
    """Writes the page and its pictures into an empty folder; classes: road.data.dataset.Class."""

    def __init__(self, folder, classes):
        self.folder, self.classes, self.frames = Path(folder), classes, []

    def draw(self, outputs):
        """Write the pictures of outputs, as a scorer takes them, in threads; yield the outputs."""
        for output, frame in prefetch(self._draw, enumerate(outputs), depth=8):
            self.frames.append(frame)
            yield output

    def _draw(self, item):
        number, (frame, label, probabilities) = item
        two = len(self.classes) == 2
        if two:
            values = scores.to_grey(resize_confidence(probabilities, label.shape))
        else:
            values = predicted(probabilities, label.shape)
        counts = confusion(values, label, len(self.classes), scores.LEVELS if two else None)
        # 0 ignored, 1 right, 2 wrong; of two classes, the threshold says what is right
        state = np.where(label == IGNORE_LABEL, 0, 1 + (values != label)).astype(np.uint8)
        planes = Image.fromarray(np.dstack([values, label, state]))
        planes.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.NEAREST)
        planes.save(self.folder / f'{number}.png')
        picture = Image.fromarray(read_image(frame.image, frame.bits))
        picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
        picture.save(self.folder / f'{number}.jpg', quality=85)
        return item[1], {'name': frame.name, 'size': picture.size, 'counts': counts.tolist()}

    def write(self, figure, **shown):
        """Write index.html, after `draw`. figure: PNG; shown: title, target, scores, threshold."""
        data = json.dumps({
            **shown, 'classes': self.classes, 'frames': self.frames,
            'total': np.sum([frame['counts'] for frame in self.frames], axis=0).tolist(),
            'probabilities': scores.PROBABILITIES.tolist()})
        # JSON escapes what is not ASCII; no name can end the script element
        page = TEMPLATE.read_text(encoding='utf-8').replace('DATA', data.replace('<', r'\u003c'))
        shutil.copy(figure, self.folder / 'scores.png')
        write_text(self.folder / 'index.html', page)
