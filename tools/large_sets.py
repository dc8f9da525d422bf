"""Time and memory of check, training and predict on small drawn sets of growing size.

    python tools/large_sets.py                # 200, 2,000 and 20,000 pictures; an hour on 2 cores
    python tools/large_sets.py 200 2000

Prints a row per command and size: pictures per second of the whole command, start included, and
peak memory. The time should grow with the number of pictures, the memory hardly at all.
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
sys.path.insert(0, str(ROOT))

from road.sample.prepare import make_encoder  # noqa: E402
from road.tables import table  # noqa: E402

HEIGHT, WIDTH = 48, 96


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


def measure(*words):
    """Run main.py; return (seconds, peak memory in MB). Raises SystemExit if it fails."""
    start = time.perf_counter()
    environment = {name: value for name, value in os.environ.items()
                   if name != 'TF_CPP_MIN_LOG_LEVEL'}  # which importing TensorFlow has set
    process = subprocess.Popen([sys.executable, str(ROOT / 'main.py'), *map(str, words)],
                               stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f'main.py {words[0]} failed')
    memory = usage.ru_maxrss / (2**20 if sys.platform == 'darwin' else 2**10)
    return time.perf_counter() - start, memory


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('counts', type=int, nargs='*', default=[200, 2000, 20000], metavar='N',
                        help='pictures of a set (default: 200 2000 20000)')
    rows = [('command', 'pictures', 'seconds', 'pictures/s', 'MB')]
    for count in parser.parse_args().counts:
        with TemporaryDirectory() as folder:
            mine, data, runs = (Path(folder, name) for name in ('mine', 'data', 'runs'))
            draw_set(mine, count)
            make_encoder(str(data / 'vgg'))
            places = '--dataset-dir', mine, '--data-dir', data
            for name, words in {
                    'check': ['check', *places],
                    'training, 1 epoch': [*places, '--runs-dir', runs, '--name', 'run',
                                          '--epochs', '1', '--image-size', f'{HEIGHT}x{WIDTH}'],
                    'predict': ['predict', runs / 'run', mine / 'images',
                                '--output', runs / 'painted']}.items():
                seconds, memory = measure(*words)
                rows.append((name, str(count), f'{seconds:.0f}', f'{count / seconds:.0f}',
                             f'{memory:.0f}'))
                print(table([rows[0], rows[-1]]), flush=True)
    print(table(rows))


if __name__ == '__main__':
    main()
