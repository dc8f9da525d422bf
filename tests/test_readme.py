"""README.md and docs/: commands parse; options, files and links exist."""

import csv
import glob
import io
import os
import re
import runpy
import shlex
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from road import settings
from road.data import augmentation
from road.scoring.scores import GREY_TEMPERATURE
from tools import figures

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGES = ['README.md', *sorted(glob.glob('docs/*.md', root_dir=ROOT))]
OTHER_PROGRAMS = ('python3 -m venv', 'pip install', 'python -m pytest', 'curl', '. .venv/', 'ruff',
                  'export')
OTHER_OPTIONS = {'--nodes', '--ntasks-per-node', '--gpus-per-task', '--kill-on-bad-exit',  # Slurm's
                 '--logdir'}  # TensorBoard's


def read(page):
    return Path(ROOT, page).read_text(encoding='utf-8')


def blocks(page, language):
    found = re.findall(r'^```(\w*)\n(.*?)^```$', read(page), re.M | re.S)
    return [text for name, text in found if name == language]


def options(text):
    return set(re.findall(r'(?<![\w-])--[a-z][a-z0-9-]+', text))


@pytest.fixture(scope='module')
def known():
    """{program: the options that its --help names}."""
    def ask(program, *words):
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as printed:
            patch.setattr(sys, 'argv', [program, *words, '--help'])
            with pytest.raises(SystemExit):
                runpy.run_path(os.path.join(ROOT, program), run_name='__main__')
        return options(printed.getvalue())

    found = {tool: ask(tool) for tool in glob.glob('tools/*.py', root_dir=ROOT)}
    found['main.py'] = ask('main.py', '--help-all').union(
        *(ask('main.py', command) for command in settings.COMMANDS))
    for tool in ('tools/experiments.py', 'tools/launch.py'):
        found[tool] |= found['main.py']  # which it passes on
    return found


@pytest.mark.parametrize('page', PAGES)
def test_commands_parse_named_options_exist_and_links_lead_somewhere(page, known):
    text = ''.join(blocks(page, 'sh')).replace('\\\n', ' ').replace('.venv/bin/p', 'p')
    for command in filter(None, map(str.strip, re.split('\n|&&', text))):
        if command.startswith(OTHER_PROGRAMS):
            continue
        program, script, *words = shlex.split(command, comments=True)
        assert program == 'python'
        if script == 'main.py':
            settings.parse(words)
        elif script != 'project_tests.py':
            assert options(command) <= known[script]
    assert options(read(page)) <= OTHER_OPTIONS.union(*known.values())
    for link in re.findall(r'\]\((?!https://)([^)]+)\)', read(page)):
        path, _, heading = link.partition('#')
        target = os.path.join(os.path.dirname(page), path) if path else page
        assert os.path.exists(os.path.join(ROOT, target)), link
        headings = re.findall(r'^#+ (.*)', read(target), re.M) if heading else []
        assert not heading or heading in [h.lower().replace(' ', '-') for h in headings], link


def test_presets_have_the_values_of_the_training_page():
    lines = re.search(r'^\| option \| default .*\n(?:\|.*\n)+', read('docs/training.md'), re.M)[0]
    header, _, *rows = ([cell.strip(' `') for cell in line.strip('|').split('|')]
                        for line in lines.splitlines())
    assert header == ['option', 'default', *settings.PRESETS]
    cells = {row[0][2:].replace('-', '_'): row[1:] for row in rows}
    assert set().union(*settings.PRESETS.values()) <= set(cells)
    no_mirror = ','.join(name for name in settings.AUGMENTATIONS if name != 'mirror')
    for column, preset in enumerate(header[1:]):
        values = vars(settings.parse_training(['--preset', preset] if column else []))
        for name, row in cells.items():
            expected = row[column].replace('all but mirror', no_mirror)
            _, found = settings.option_text(name, values[name])
            assert found == expected or float(found) == float(expected), (preset, name)


def test_scores_of_the_presets_are_those_on_record():
    page = read('README.md')
    rows = [row for row in csv.DictReader(io.StringIO(read('docs/experiments.csv')))
            if row['topic'] == 'presets' and row['verdict'] == 'kept']
    assert len(rows) == 4
    for row in rows:
        _, *cells, memory = re.search(rf'\n\|`?{row["setting"]}`?\|(.*)\|', page)[1].split('|')
        assert cells[:3] == [f'{float(row[name]):.1f}' for name in ('MaxF', 'AP', 'IoU')]
        assert (cells[3].split()[-1], memory) == (row['minutes'], f'{row["GiB"]} GB')
        short = f'{row["minutes"]}  {float(row["MaxF"]):.1f}  '
        assert len(re.findall(rf'[ <]{short}', read('road/help.txt'))) == 1
    assert figures.PRESETS == tuple(
        (float(row['minutes']), float(row['MaxF']), row['setting']) for row in rows)
    for line in (f'up to {augmentation.BRIGHTNESS:g} grey', f'up to {augmentation.CONTRAST:.0%}',
                 f'to {100 * augmentation.SCALE:g} to 100', f'up to {augmentation.COLOUR:.0%} more',
                 f'up to {augmentation.ROTATION:g} degrees'):
        assert line.replace('%', ' %') in read('docs/training.md')
    assert f'logit(p) / {GREY_TEMPERATURE:g})' in read('docs/use.md')


def test_files_that_are_named_exist():
    tree, = (block for block in blocks('docs/CONTRIBUTING.md', '') if block.startswith('main.py'))
    named = [word for line in tree.splitlines() for word in line.split('  ')[0].split()]
    for page in PAGES:
        named += re.findall(r'`((?:road|tools|tests|docs|imgs|\.ci)/[\w./-]*)`', read(page))
        named += re.findall(r'`(\w+\.(?:py|txt|toml|yml))`', read(page))
    missing = {path for path in named if not os.path.exists(os.path.join(ROOT, path))}
    assert missing <= {'classes.txt', 'labelmap.txt', 'label_colors.txt', 'val.txt'}  # of people's


def test_run_folder_holds_what_the_readme_lists(trained_run):
    listing, = (block for block in blocks('README.md', '') if block.startswith('runs/'))
    for name in ('command.txt', 'config.json', 'environment.json', 'log.txt', 'metrics.csv',
                 'metrics.json', 'checkpoints/last', 'checkpoints/best', 'events', 'curves.png',
                 'contact_sheet.png', 'images/um_000000.png'):
        assert os.path.basename(name) in listing
        path = os.path.join(trained_run, name)
        assert os.listdir(path) if os.path.isdir(path) else os.path.exists(path)
