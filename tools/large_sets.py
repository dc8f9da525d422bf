"""Time and memory of check, training and predict on small drawn sets of growing size.

    python tools/large_sets.py       # 200, 2,000 and 20,000 pictures; 10 minutes on 2 cores
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
HEIGHT, WIDTH = 48, 96
COMMANDS = (
    ('check', '--dataset-dir=mine'),
    ('train', '--dataset-dir=mine', f'--vgg-weights={ROOT}/road/sample/encoder.npz', '--name=run',
     '--epochs=1'),
    ('predict', 'runs/run', 'mine/images'))


def draw_set(folder, count):
    """Write `count` pictures with masks: a grey road of its own width on noise."""
    rng = np.random.default_rng(0)
    for part in 'images', 'masks':
        (folder / part).mkdir(parents=True)
    for i in range(count):
        left, right = np.sort(rng.integers(1, WIDTH, 2))
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[HEIGHT // 2:, left:right + 1] = 255
        image = rng.integers(60, 200, (HEIGHT, WIDTH, 3), np.uint8)
        image[mask > 0] = 128
        Image.fromarray(image).save(folder / 'images' / f'{i:06}.png', compress_level=1)
        Image.fromarray(mask).save(folder / 'masks' / f'{i:06}.png', compress_level=1)


def measure(words, folder):
    """Run main.py in a folder; return (seconds, peak memory in MB)."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, ROOT / 'main.py', *words],
                               cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, words
    memory = usage.ru_maxrss / (2**20 if sys.platform == 'darwin' else 2**10)
    return time.perf_counter() - start, memory


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('counts', type=int, nargs='*', default=[200, 2000, 20000], metavar='N',
                        help='pictures of a set (default: 200 2000 20000)')
    for count in parser.parse_args().counts:
        with TemporaryDirectory() as folder:
            draw_set(Path(folder, 'mine'), count)
            for words in COMMANDS:
                seconds, memory = measure(words, folder)
                print(f'{words[0]:8s}{count:8d} pictures {seconds:6.0f} s '
                      f'{count / seconds:6.0f} pictures/s {memory:6.0f} MB', flush=True)


if __name__ == '__main__':
    main()
