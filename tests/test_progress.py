"""Progress bars in a file or pipe."""

import io

from road import progress


def test_a_file_gets_few_lines_and_no_carriage_return(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(progress.sys, 'stderr', screen)
    with progress.tqdm(total=1000, unit='image', desc='work') as bar:
        for i in range(1000):
            bar.set_postfix(loss=i, refresh=False)
            bar.update(1)
            if i % 100 == 0:
                progress.tqdm.write(f'row {i}', file=screen)
    lines = screen.getvalue().split('\n')
    assert '\r' not in screen.getvalue() and sum(line.startswith('work') for line in lines) < 4
    assert sum(line.startswith('row') for line in lines) == 10
    assert '1000/1000' in screen.getvalue() and 'loss=999' in screen.getvalue()
