"""tools/figures.py draws from the program as it is now."""

import os
import runpy
import sys

import pytest

from tools import figures


@pytest.mark.slow
def test_figures_of_a_run_are_drawn(trained_run, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, 'argv', [figures.__file__, trained_run])
    monkeypatch.chdir(tmp_path)
    os.mkdir('imgs')
    runpy.run_path(figures.__file__, run_name='__main__')
    assert sorted(os.listdir('imgs')) == [
        'conv1x1.png', 'minutes.png', 'network.png', 'results.png', 'semantic_segmantation.gif',
        'skips.png', 'upsampling.png']
