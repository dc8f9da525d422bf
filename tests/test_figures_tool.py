"""tools/figures.py draws from the program as it is now."""

import os

import pytest

from tools import figures


@pytest.mark.slow
def test_figures_of_a_run_are_drawn(trained_run, tmp_path, monkeypatch):
    monkeypatch.setattr(figures, 'IMGS', str(tmp_path))
    image, label, road, confidences, ious, frames = shown = figures.predict_without_skips(
        trained_run)
    assert image.shape == label.shape and frames == 3 and len(ious) == 3
    assert all(each.shape == road.shape for each in confidences)
    figures.draw_network(image, confidences[-1])
    figures.draw_conv1x1(image)
    figures.draw_upsampling()
    figures.draw_minutes(figures.read_minutes(figures.EXPERIMENTS))
    figures.draw_skips(*shown)
    assert sorted(os.listdir(tmp_path)) == [
        'conv1x1.png', 'minutes.png', 'network.png', 'skips.png', 'upsampling.png']


def test_the_table_with_minutes_is_found(tmp_path):
    (tmp_path / 'page.md').write_text(
        '| setting | MaxF |\n| --- | --- |\n| x | 1 |\n\n| setting | MaxF | AP | minutes |\n'
        '| --- | --- | --- | --- |\n| a: b | 91.5 | 90 | 3 |\n| c | 96 | | |\n\n| d | 1 |\n')
    assert figures.read_minutes(tmp_path / 'page.md') == [('a: b', 91.5, 3), ('c', 96, None)]
