"""Painting images, folders and videos: each input gives the right output or one clear line."""

import os
import re
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import av
import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image

import main
from road import settings
from road.commands import predict
from road.data import kitti
from road.data.dataset import Class
from road.errors import InputError, describe
from road.runs import run_folder
from road.runs.painting import legend, paint, write_png
from road.runs.video import convert
from tests.test_images import scene
from tests.test_painting import of_road
from tests.test_video import make_clip, read_video


def network(pairs, full_size=False):
    """A stand-in for a trained network: the probability of road is the red channel."""
    for key, image in pairs:
        yield key, image, of_road(image[..., 0] / 255)


def run(*inputs, output, options=('--overlay', 'mask'), network=network, weights='',
        **recorded):
    """Run the command with the stand-in network."""
    words = ['predict', 'run', *map(str, inputs), '--output', str(output), *options]
    recorded = {'classes': kitti.CLASSES, 'bits': 16, 'label_values': {}, **recorded}
    opened = SimpleNamespace(
        predictor=SimpleNamespace(predict=network, threshold=0.25),
        run=SimpleNamespace(best=lambda: {'checkpoint': weights}, **recorded))
    predict.run(settings.parse(words)[1], lambda run, vgg_dir: nullcontext(opened))


def assert_mask_begins_at(threshold, mask, map_):
    above = map_ - 65535 * threshold
    assert (mask == mask[..., :1]).all()
    assert ((mask[..., 0] == 255 * (above >= 0)) | (abs(above) <= 1)).all()  # maps are rounded


@pytest.mark.usefixtures('opened_run')
def test_images_of_any_size_give_images_of_that_size(trained_run, tmp_path):
    """With --full-size only what has the trained size gives the same."""
    threshold = run_folder.load(trained_run).threshold
    sizes = {'same.png': (192, 64), 'odd.png': (411, 37), 'large.png': (1200, 900)}
    for name, size in sizes.items():
        Image.fromarray(scene()).resize(size).save(tmp_path / name)
    words = ['predict', trained_run, *(str(tmp_path / name) for name in sizes), '--confidence',
             '--overlay', 'mask']
    maps = {}
    for out, options in (tmp_path / 'small', []), (tmp_path / 'full', ['--full-size']):
        assert main.main([*words, '--output', str(out), *options]) == 0
        for name, (width, height) in sizes.items():
            maps[out.name, name] = map_ = iio.imread(out / 'confidence' / name)
            assert map_.shape == (height, width)
            assert_mask_begins_at(threshold, iio.imread(out / name), map_)
    np.testing.assert_array_equal(maps['small', 'same.png'], maps['full', 'same.png'])
    assert (maps['small', 'large.png'] != maps['full', 'large.png']).any()


@pytest.mark.usefixtures('opened_run')
@pytest.mark.parametrize('kind, data, part, count', [
    ('trained_run', 'scenes_dir', 'testing/image_2', 3), ('classes_run', 'camvid_dir', '', 1)])
def test_a_training_paints_as_predict_does(request, tmp_path, kind, data, part, count):
    """The images of many classes have a legend, and may lie in folders."""
    run, inputs = request.getfixturevalue(kind), f'{request.getfixturevalue(data)}/{part}'
    assert main.main(['predict', run, inputs, '--output', str(tmp_path)]) == 0
    painted = list(Path(run, 'images').rglob('*.png'))
    assert len(painted) == count
    for path in painted:
        same = tmp_path / path.relative_to(f'{run}/images')
        np.testing.assert_array_equal(iio.imread(path), iio.imread(same))


@pytest.mark.parametrize('overlay', settings.OVERLAYS)
def test_classes_are_painted_with_a_legend_and_written_as_values_of_the_masks(tmp_path, overlay):
    """Masks have no legend, and videos keep their size."""
    classes = (Class('red', (255, 0, 0)), Class('green', (0, 255, 0)), Class('blue', (0, 0, 255)))

    def brightest_channel(pairs, full_size):
        sizes.append(full_size)
        for key, image in pairs:
            yield key, image, image / np.float32(765)

    write_png(str(tmp_path / 'a.png'), scene())
    clip, out, sizes = make_clip(tmp_path / 'b.mp4', seconds=0.5), tmp_path / 'out', []
    options = ['--overlay', overlay, '--confidence', '--full-size']
    run(tmp_path / 'a.png', clip, output=out, options=options, network=brightest_channel,
        classes=classes, label_values={'0': 'red', '7': 'green', '255': 'blue'})
    assert sizes == [True, True]  # full, of the image and of the video
    assert sorted(os.listdir(out / 'confidence')) == ['README.txt', 'a.png', 'b']
    with Image.open(out / 'confidence/a.png') as map_:
        np.testing.assert_array_equal(map_, np.uint8([0, 7, 255])[scene().argmax(axis=2)])
    with pytest.raises(InputError, match='--threshold 0.3: run has more than two classes'):
        run(clip, output=out, options=['--threshold', '0.3'], classes=classes)
    assert '\n7 green #00ff00\n' in (out / 'confidence/README.txt').read_text()
    expected = paint(scene(), scene() / np.float32(765), overlay, classes)
    if overlay != 'mask':
        expected = np.concatenate([expected, legend(classes, 90)])
    np.testing.assert_array_equal(iio.imread(out / 'a.png'), expected)
    assert read_video(*out.glob('b.m*'))[0].shape == (48, 80, 3)


@pytest.mark.usefixtures('opened_run')
def test_trained_run_paints_video(trained_run, tmp_path, capsys):
    out = tmp_path / 'out'
    source = make_clip(tmp_path / 'a.mkv', seconds=1, sound=1, sound_codec='mp3')
    for name, options, sounds in (
            ('a.mp4', [], 1), ('a.mkv', ['--no-sound', '--overlay', 'mask', '--confidence'], 0)):
        assert main.main(['predict', trained_run, source, '--output', str(out), *options]) == 0
        assert len(read_video(out / name)) == 10
        with av.open(str(out / name)) as written:
            assert len(written.streams.audio) == sounds
    assert '10/10' in capsys.readouterr().err  # the bar knows how many frames there are
    masks = np.stack(read_video(out / 'a.mkv'))
    maps = [iio.imread(path) for path in sorted((out / 'confidence/a').iterdir())]
    assert set(np.unique(masks)) <= {0, 255}  # lossless
    assert_mask_begins_at(run_folder.load(trained_run).threshold, masks, np.stack(maps))


@pytest.mark.parametrize('options, lowest', [([], 64), (['--threshold', '0.8'], 204),
                                             (['--threshold', '0'], 0)])
def test_masks_begin_at_the_threshold(tmp_path, options, lowest):
    write_png(str(tmp_path / 'a.png'), scene())
    run(tmp_path / 'a.png', output=tmp_path / 'out', options=['--overlay', 'mask', *options])
    mask = iio.imread(tmp_path / 'out/a.png')[..., 0]
    np.testing.assert_array_equal(mask, 255 * np.uint8(scene()[..., 0] >= lowest))


def test_stopping_while_a_video_is_finished_leaves_nothing_in_the_way(tmp_path, monkeypatch):
    def convert_and_stop(*args):
        convert(*args)
        os.remove(args[1])
        raise KeyboardInterrupt

    clip = make_clip(tmp_path / 'a.mp4', seconds=0.2)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr('road.runs.video.convert', convert_and_stop)
        run(clip, output=tmp_path / 'out', options=['--confidence'])
    run(clip, output=tmp_path / 'out', options=['--confidence'])
    assert (tmp_path / 'out/a.mp4').exists()


def test_a_part_of_a_video_is_not_done_and_one_that_cannot_be_read_not_painted(tmp_path, capsys):
    clip = Path(make_clip(tmp_path / 'a.mp4', seconds=6))
    clip.write_bytes(clip.read_bytes()[:clip.stat().st_size // 2])
    for options in ([], ['--skip-done']):
        with pytest.raises(InputError, match='a.mp4: cut off'):
            run(clip, output=tmp_path / 'out', options=options)
    clip.write_text('text')
    with pytest.raises(InputError, match='a.mp4: not a readable video'):
        run(clip, output=tmp_path / 'out', options=[])
    assert capsys.readouterr().out.endswith(f'0 of 1 files are painted, in {tmp_path}/out\n')


def test_others_are_done_and_failures_listed_at_the_end(tmp_path, capsys):
    mixed, nothing, out = tmp_path / 'mixed', tmp_path / 'nothing', tmp_path / 'out'
    for folder in (mixed, nothing, mixed / 'inside.png', out):
        folder.mkdir(parents=True)
    (nothing / 'notes.txt').write_text('no picture')
    long = 250 * 'n'
    for name in ('a.png', 'd.png', 'e.png', f'{long}.png'):
        write_png(str(mixed / name), scene())
    for name in ('a.nef', 'c.png', 'f.heic', 'g.mp4', 'notes.txt', 'notes.pdf', '.hidden'):
        (mixed / name).write_text('text')
    os.mkfifo(mixed / 'pipe.png')
    too_long = make_clip(tmp_path / f'{252 * "n"}.ts', seconds=0.5)
    with pytest.raises(InputError) as last:
        run(mixed, nothing, tmp_path / 'none', too_long, mixed / 'notes.txt', mixed / 'pipe.png',
            output=out)
    captured = capsys.readouterr()
    errors = f'{captured.err}Error: {last.value}'
    assert sorted(os.listdir(out)) == ['.predict.jsonl', 'a.png', 'd.png', 'e.png', f'{long}.png']
    assert f'4 of 9 files are painted, in {out}' in captured.out
    assert f'{mixed}: files that are no images or videos and are skipped: 3\n' in captured.out
    for line in ('nothing: .*holds no image', 'none: no such file or folder', 'f.heic: ',
                 'c.png: not a readable image', 'g.mp4: not a readable video',
                 'notes.txt: is no image or video', 'pipe.png: is a pipe',
                 'n.mkv: .*choose a shorter name'):
        assert len(re.findall(f'^Error: .*{line}', errors, re.MULTILINE)) == 1
    assert errors.count('Error: ') == 8


def test_images_are_painted_without_the_library_of_videos(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'road.runs.video', None)
    write_png(str(tmp_path / 'a.png'), scene())
    with pytest.raises(InputError, match='a.mp4: PyAV, which reads videos, cannot be imported'):
        run(tmp_path / 'a.png', make_clip(tmp_path / 'a.mp4', seconds=0.1), output=tmp_path / 'out')
    assert (tmp_path / 'out/a.png').exists()


def test_names_do_not_collide_and_inputs_are_never_overwritten(tmp_path):
    """Folders in a folder are kept; hidden ones and the output are left out."""
    for name in ('x/a.png', 'y/A.png', 'y/a.jpg', 'y/a.mp4', 'y/a.nef', 'y/a.pcd', 'y/b/a.png',
                 'y/b/c/d.png', 'y/.b/a.png', 'y/out/a.png', 'y/confidence/e.png', 'y/e.png',
                 'y/f.heic', 'y/f.mov'):  # a live photo of a phone
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(b'')
    out = str(tmp_path / 'y/out')
    jobs, failures = predict.plan([str(tmp_path / 'x'), str(tmp_path / 'y')], out)
    names = [os.path.relpath(target, out) for _, target in jobs]
    assert names == ['a.png', 'A-2.png', 'a-3.png', 'a.mp4', 'b/a.png', 'b/c/d.png',
                     'confidence/e.png', 'e-2.png', 'f.png', 'f.mp4']
    assert not failures
    assert predict.plan([out], out)[0] == [(f'{out}/a.png', f'{out}/a.png')]  # named itself


def test_only_own_results_of_the_same_input_are_overwritten(tmp_path):
    first, second, out = tmp_path / 'cam0/a.png', tmp_path / 'cam1/a.png', tmp_path / 'out'
    for path in (first, second):
        path.parent.mkdir()
        write_png(str(path), scene())
    with pytest.raises(InputError, match='cam0/a.png: was not written by predict.*; move it away'):
        run(first, output=out / '../cam0')
    run(first, output=out)
    write_png(str(first), scene()[::-1])
    run(first, output=out)
    result, options = (out / 'a.png').read_bytes(), ['--confidence']
    with pytest.raises(InputError, match=f'a.png: is the result of {first}; name another folder'):
        run(second, output=out)
    (out / 'confidence').mkdir()
    write_png(str(out / 'confidence/a.png'), scene())
    with pytest.raises(InputError, match='confidence/a.png: was not written by predict'):
        run(first, output=out, options=options)
    assert (out / 'a.png').read_bytes() == result
    (out / 'confidence/a.png').unlink()
    run(first, output=out, options=options)
    write_png(str(out / 'a.png'), scene())
    with pytest.raises(InputError, match='out/a.png: .* was changed since; move it'):
        run(first, output=out)


def test_what_is_done_already_is_skipped_on_request(tmp_path, capsys):
    for name in ('a.png', 'b.png', 'c.png'):
        write_png(str(tmp_path / name), scene())
    inputs, out = [tmp_path / name for name in ('a.png', 'b.png', 'c.png')], tmp_path / 'out'
    run(*inputs[:2], output=out)

    def painted(*options, **others):
        run(*inputs, output=out, options=['--overlay', 'mask', '--skip-done', *options], **others)
        return int(re.search('already\n(.) of', capsys.readouterr().out)[1])

    assert painted() == 1
    write_png(str(tmp_path / 'a.png'), scene()[::-1])
    (out / 'b.png').unlink()
    assert [painted(), painted()] == [2, 0]
    with open(out / '.predict.jsonl', 'a') as record:
        record.write('\n["cut sh')
    assert [painted('--confidence'), painted('--confidence')] == [3, 0]
    assert (out / 'confidence/README.txt').read_text() == (
        'Grey level / 65535 = probability of road\n')
    assert [painted(*words) for words in (
        ['--no-sound'], ['--threshold', '0.7'], ['--threshold', '0.8'])] == [3, 3, 3]
    assert [painted(weights='others'), painted('--overlay', 'tint', weights='others')] == [3, 3]


def test_a_run_that_is_none_is_named_and_leaves_no_folder(tmp_path, capsys):
    write_png(str(tmp_path / 'a.png'), scene())
    assert main.main(['predict', str(tmp_path / 'smple'), str(tmp_path / 'a.png')]) == 2
    assert 'smple: no such folder; name a run, a folder in runs/' in capsys.readouterr().err
    assert not (tmp_path / 'smple').exists()


def test_images_of_few_bits_in_16_are_read_by_the_range_of_the_run_or_their_own(tmp_path):
    Image.fromarray(np.full((4, 4), 2100, np.uint16)).save(tmp_path / 'a.png')
    for bits, road in ((10, 255), (12, 255), (14, 0), (16, 255)):  # 16: of 8-bit images
        run(tmp_path / 'a.png', output=tmp_path / 'out', bits=bits)
        assert (iio.imread(tmp_path / 'out/a.png') == road).all()


def test_shares_paint_each_file_once_under_its_own_name(tmp_path, capsys):
    """A missing input is an error of the first process alone."""
    for i, name in enumerate(('x/a.png', 'x/b.png', 'y/a.png', 'y/c.png', 'y/d.png')):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_png(str(tmp_path / name), np.roll(scene(), i, axis=1))
    inputs, whole, parts = (tmp_path / 'x', tmp_path / 'y'), tmp_path / 'whole', tmp_path / 'parts'
    run(*inputs, output=whole, options=[])
    with pytest.raises(InputError, match='none: no such file'):
        run(*inputs, tmp_path / 'none', output=parts, options=['--share', '1/2'])
    assert sorted(os.listdir(parts)) == ['.predict.jsonl', 'a-2.png', 'a.png', 'd.png']
    run(*inputs, tmp_path / 'none', output=parts, options=['--share', '2/2'])
    assert '2 of 2 files are painted' in capsys.readouterr().out
    painted, expected = ({path.name: path.read_bytes() for path in folder.glob('*.png')}
                         for folder in (parts, whole))
    assert painted == expected
    run(*inputs, output=parts, options=['--share', '9/9'])  # nothing is left for it


@pytest.mark.parametrize('output', ['file', 'file/below'])
def test_output_that_is_no_folder_is_named(tmp_path, output):
    write_png(str(tmp_path / 'file'), scene())
    with pytest.raises(OSError) as raised:
        run(tmp_path / 'file', output=tmp_path / output, options=[])
    assert re.match(f'{tmp_path / output}: .*name another', describe(raised.value, {}))
    assert (iio.imread(tmp_path / 'file') == scene()).all()
