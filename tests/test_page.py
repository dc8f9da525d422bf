"""The page that evaluate writes: its content, and what a browser shows of it."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from road.data.dataset import Class, Frame
from road.runs.page import Page
from tests.test_painting import of_road

# the worst, one without road, the best
NAMES = ['z \'q\' "<b>" & </script><!--', 'train/é #1 %41\udce9', 'a&amp;#DATA']
LABEL = np.uint8([[1, 1, 0], [0, 255, 1]])
ROAD = np.float32([[0.9, 0.2, 0.8], [0.1, 0.9, 0.6]])  # of the worst
CLASSES = Class('sky', (0, 0, 255)), Class('<road>', (0, 255, 0)), Class('car', (255, 0, 0))
BROWSER = shutil.which('chromium') or shutil.which('google-chrome')


@pytest.fixture
def page(tmp_path, count, monkeypatch):
    """The page of three frames in `count` classes, of 2x3 blocks of 20x20 pixels."""
    image, figure, outputs = str(tmp_path / 'image.png'), str(tmp_path / 'figure.png'), []
    for path in (image, figure):
        Image.fromarray(np.full((40, 60), 512, np.uint16)).save(path)
    for name, label, road in zip(NAMES, (LABEL, 0 * LABEL, LABEL), (ROAD, 0 * ROAD, LABEL == 1)):
        probabilities = np.pad(of_road(road), ((0, 0), (0, 0), (0, count - 2)))
        blocks = [np.kron(array, np.ones((20, 20), array.dtype))
                  for array in (label, *np.moveaxis(probabilities, -1, 0))]
        outputs.append((Frame(name, image, bits=10), blocks[0], np.stack(blocks[1:], axis=-1)))
    monkeypatch.setattr('road.runs.page.LARGEST_SIDE', 30)  # pictures of half the size
    written = Page(str(tmp_path), CLASSES[:count])
    assert list(written.draw(outputs)) == outputs
    written.write(figure, title='runs/<i>: 3', target='<i>', scores='1 < 2', threshold=0.5)
    return tmp_path / 'index.html'


def content(page):
    """What the page knows, as a browser finds it: up to the first end of a script."""
    return json.loads(re.search('json">(.*?)</script>', page.read_text('utf-8'))[1])


@pytest.mark.parametrize('count, shape', [(2, (2, 256)), (3, (3, 3))])
def test_page_knows_names_and_counts_and_needs_no_network(page, shape):
    found = content(page)
    assert [frame['name'] for frame in found['frames']] == NAMES
    assert np.shape(found['total']) == shape
    assert np.sum(found['total']) == (5 + 6 + 5) * 400
    assert 'http' not in page.read_text('utf-8')
    counts = np.array(found['frames'][0]['counts'])
    planes = np.asarray(Image.open(page.parent / '0.png'))
    assert {*planes[..., 1].flat} == {0, 1, 255}  # no mixtures
    with Image.open(page.parent / '0.jpg') as picture:
        assert np.mean(picture) == pytest.approx(128, abs=1)  # of 10 bits in 16
    if shape == (3, 3):  # of two classes, the browser says what is right
        state = planes[..., 2]
        wrong = counts.sum() - counts.trace()
        assert [4 * (state == i).sum() for i in (1, 2)] == [counts.trace(), wrong]


LOOK = """<script>onload = async () => {
  SCRIPT
  await Promise.all([...document.images].map(image => image.decode()))
  const {x, y, right, bottom} = document.querySelector('.errors').getBoundingClientRect()
  console.log(JSON.stringify({names: data.frames.map(frame => frame.name),
                              text: document.body.innerText, box: [x, y, right, bottom]}))
}</script>"""


@pytest.mark.slow
@pytest.mark.skipif(not BROWSER, reason='needs chromium or google-chrome')
@pytest.mark.parametrize('count, script, text, order, errors', [
    (2, '', '0.5\nprecision 83.3 %, recall 83.3 %, IoU 71.4 %', (0, 2, 1), 'rmf  r'),
    (2, 'slider.value = levelOf(0.7); slider.oninput()',
     'precision 80.0 %, recall 66.7 %, IoU 57.1 %', (0, 2, 1), 'rmf  m'),
    (2, "$('select').value = 'name'; $('select').onchange()", '', (2, 1, 0), 'rr   r'),
    (3, '', 'accuracy 87.5 %, mean IoU 76.6 %', (0, 1, 2), 'rmmr r'),
    (3, "$('button:nth-child(3)').onclick()", 'IoU 71.4 %', (0, 2, 1), 'rmf  r')])
def test_browser_shows_errors_of_threshold_or_class_in_order(page, script, text, order, errors):
    page.write_text(page.read_text('utf-8') + LOOK.replace('SCRIPT', script), 'utf-8')
    shown = subprocess.run(
        [BROWSER, '--headless', '--no-sandbox', '--window-size=1400,2000',
         '--virtual-time-budget=10000', '--enable-logging=stderr',
         f'--user-data-dir={page.parent}/browser', f'--screenshot={page.parent}/shot.png',
         page.as_uri()], stderr=subprocess.PIPE, text=True, timeout=100)
    logged, = re.findall('CONSOLE.*', shown.stderr)  # and no error
    found = json.loads(re.search('{.*}', logged)[0])
    assert found['names'] == [NAMES[i] for i in order]
    assert text in found['text']
    with Image.open(page.parent / 'shot.png') as shot:
        picture = shot.convert('RGB').crop(found['box'])
    colours = np.array(picture.resize((3, 2), Image.Resampling.BOX), int).reshape(6, 3)
    painted = ['mrf'[each.argmax()] if np.ptp(each) > 30 else ' ' for each in colours]
    assert ''.join(painted) == errors
