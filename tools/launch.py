"""Start N processes of main.py on this machine, one per GPU, and wait for them.

    python tools/launch.py 2 --train-encoder conv4 --name two      # train as one
    python tools/launch.py 2 --resume runs/two
    python tools/launch.py 2 predict runs/two frames/ --output painted

Each process sees a GPU of its own (CUDA_VISIBLE_DEVICES); without GPUs all share the CPU. The exit
code is the highest of all processes. docs/gpus.md has the commands for several machines.
"""

import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from road import settings
from road.runs.log import stoppable

MAIN = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'main.py')
BAR = re.compile(r'\d+%\||\d(image|frame) \[')  # in a line of tqdm
GRACE = 30  # seconds in which the others notice that a process has failed and say so


def environments(number, environ):
    """The environment of each process: its own GPU, and TF_CONFIG with free ports."""
    with ExitStack() as stack:  # hold each port until all are found
        held = [stack.enter_context(socket.create_server(('localhost', 0))) for _ in range(number)]
        workers = [f'localhost:{each.getsockname()[1]}' for each in held]
    gpus = environ.get('CUDA_VISIBLE_DEVICES', ','.join(map(str, range(number))))
    gpus = gpus.split(',') + [''] * number  # a process without a GPU runs on the CPU
    return [{**environ, 'CUDA_VISIBLE_DEVICES': gpu, 'TF_CONFIG': json.dumps(
        {'cluster': {'worker': workers}, 'task': {'type': 'worker', 'index': i}})}
        for i, gpu in enumerate(gpus[:number])]


def start_all(command, number, words):
    """Start the processes of a command; process 0 has the screen.

    The others show their errors, and how many files they have painted. Each process is in a session
    of its own: Ctrl-C reaches it once, through `wait`.
    """
    def relay(i, stream, target, is_shown):
        for line in stream or ():  # process 0 has none
            if line.strip() and is_shown(line):
                print(f'Process {i}: {line.rstrip()}', file=target, flush=True)

    processes = []
    for i, environment in enumerate(environments(number, os.environ)):
        own, pipe = words, subprocess.PIPE if i else None
        if command == 'predict':  # each paints a part of the files, and knows of no other
            del environment['TF_CONFIG']
            own = [*words, f'--share={i + 1}/{number}']
        process = subprocess.Popen(
            [sys.executable, MAIN, *own], env=environment, start_new_session=True, text=True,
            errors='replace', stdout=pipe, stderr=pipe)
        process.readers = [threading.Thread(target=relay, args=(i, *each)) for each in (
            (process.stdout, sys.stdout, lambda line: 'files are painted' in line),
            (process.stderr, sys.stderr, lambda line: not BAR.search(line)))]
        for reader in process.readers:
            reader.start()
        processes.append(process)
    return processes


def wait(processes, received, together=False):
    """Wait for all processes; returns the highest exit code, 128 + N for signal N.

    received: a list to which signals are added, to pass on. together: when one fails, end the
    others after GRACE seconds.
    """
    def send(number):
        for process in processes:
            if process.poll() is None:
                process.send_signal(number)

    deadline = math.inf
    while None in (codes := [process.poll() for process in processes]):
        time.sleep(0.1)
        while received:
            send(received.pop())
        if together and any(codes):
            deadline = min(deadline, time.monotonic() + GRACE)
        if time.monotonic() > deadline:
            break
    send(signal.SIGTERM)
    for process in processes:
        process.wait()
        for reader in process.readers:
            reader.join()
    # Processes that were ended here do not count.
    return max(128 - code if code < 0 else code for code in codes if code is not None)


def run(argv=None):
    """Run the command line; returns the exit code."""
    number, *words = (sys.argv[1:] if argv is None else argv) or ['']
    if not number.isdecimal() or not 1 <= int(number) <= 1000:
        print(__doc__)
        return 0 if number in ('-h', '--help') else 2
    command, _ = settings.parse(words)  # a mistake ends here, once
    if command not in ('train', 'predict'):
        print(f'Error: {command}: one process does it all; use main.py', file=sys.stderr)
        return 2
    received = []
    with stoppable(), ExitStack() as stack:
        # Not an exception, which could come while a process is being started and is not known yet.
        for each in (signal.SIGINT, signal.SIGTERM):
            former = signal.signal(each, lambda number, _: received.append(number))
            stack.callback(signal.signal, each, former)
        return wait(start_all(command, int(number), words), received, command == 'train')


if __name__ == '__main__':
    sys.exit(run())
