"""An activity log survives kill -9, whenever it comes."""

from __future__ import annotations

import json
import subprocess
import sys

import h5py

from hxloop.activity import ActivityLog, ActivityWriter, read_activity
from tests.activity.activity_examples import NETWORK, assert_holds, run

# Imports once, then forks writers and kills them: SIGKILL, nothing can be tidied up.
FORKS = '''
import json, os, random, signal, sys, time
from pathlib import Path
from hxloop.activity import ActivityWriter
from tests.activity.activity_examples import NETWORK, run

def write(path, told, states=3, runs=25):
    with ActivityWriter(path, NETWORK) as log:
        for index in range(states):
            with log.state(f"epoch-{index:03d}", n_samples=None if index else 100) as state:
                for i in range(runs):
                    state.append(*run(i))
                    os.write(told, bytes([index, i]))
            os.write(told, bytes([index, 255]))

def dying_after(n):
    """Ends the process in the n-th change of a file, in the middle of it if that is a write."""
    left = n
    def count():
        nonlocal left
        left -= 1
        return left < 0
    real_write, real_replace = os.pwrite, Path.replace
    def write(file, data, place):
        if count():
            real_write(file, data[: len(data) // 2], place)
            os.kill(os.getpid(), signal.SIGKILL)
        return real_write(file, data, place)
    def replace(self, target):
        if count():
            os.kill(os.getpid(), signal.SIGKILL)
        result = real_replace(self, target)
        if count():
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    os.pwrite, Path.replace = write, replace

def forked(path, at_random, n):
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if not at_random:
                dying_after(n)
            write(path, writes, *(() if at_random else (2, 2)))
        finally:
            os._exit(0)
    os.close(writes)
    if at_random:
        os.read(reads, 2)  # it has begun
        time.sleep(random.Random(n).uniform(0, 0.6))
        os.kill(child, signal.SIGKILL)
    told = b""
    while piece := os.read(reads, 1 << 16):
        told += piece
    os.close(reads)
    status = os.waitpid(child, 0)[1]
    print(json.dumps([str(path), list(told), status]), flush=True)
    return status == 0

folder, at_random, most = Path(sys.argv[1]), sys.argv[2] == "random", int(sys.argv[3])
for n in range(0, most, int(sys.argv[4])):
    if forked(folder / f"{n}.h5", at_random, n) and not at_random:
        break
'''


def deaths(folder, how, most, step=1):
    done = subprocess.run(
        [sys.executable, "-c", FORKS, str(folder), how, str(most), str(step)],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(path, told, n_runs):
    """Every run whose writer had been told that it is in the file is there, and is right."""
    with h5py.File(path):
        pass  # any program opens it
    with ActivityLog.open(path) as log:
        held = {name: len(log.runs(name)) for name in log.states}
        for name, runs in held.items():
            assert_holds(log.read(name), range(runs))
            if log.is_complete(name):
                assert runs == n_runs
        for index, i in zip(told[::2], told[1::2], strict=True):
            name = f"epoch-{index:03d}"
            if i == 255:
                assert log.is_complete(name)
            else:
                assert held[name] > i
    return held


def test_at_every_change_of_the_file(tmp_path, step):
    seen = set()
    found = deaths(tmp_path, "everywhere", 200, step)
    assert found[-1][2] == 0 and all(status == 9 for *_, status in found[:-1])
    # Two states of two runs, with eight datasets and the count each, and their renamings.
    assert len(found) * step > 2 * 2 * 9
    for path, told, _ in found:
        if not told and not list(tmp_path.glob(path.rpartition("/")[2])):
            continue  # killed before the file was there at all
        seen.add(tuple(check(path, told, 2).values()))
    assert seen == {(), (1,), (2,), (2, 1), (2, 2)}


def test_at_random_moments_and_the_next_writer_goes_on(tmp_path):
    for path, told, _ in deaths(tmp_path, "random", 8):
        held = check(path, told, 25)
        with ActivityWriter(path, NETWORK) as log, log.state("trained") as state:
            state.append(*run(0))
        after = read_activity(path)
        assert_holds(after.pop("trained"), [0])
        assert {name: len(state.runs) for name, state in after.items()} == held
        for state in after.values():
            assert_holds(state, range(len(state.runs)))
