"""Processes that are started for a while, and that nobody is to leave behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

# Runs a command, and kills it with all that it has started as soon as standard input ends: when
# the process at the other end of the pipe has died, in whatever way.
_SUPERVISOR = """
import os, signal, subprocess, sys, threading
def watch():
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)
threading.Thread(target=watch, daemon=True).start()
status = subprocess.call(sys.argv[1:], stdin=subprocess.DEVNULL)
sys.exit(status if status >= 0 else 128 - status)
"""


def run_child(
    command: list[str],
    *,
    cwd: Path,
    environment: dict[str, str] | None = None,
    supervised: bool = False,
) -> tuple[int, str]:
    """Run a process in a session of its own; exit status and everything it printed.

    Ctrl-C in the terminal does not reach it. If this process gets an exception while it waits,
    the child and all its children are killed first.

    Args:
        command: program and arguments.
        cwd: where it runs.
        environment: of the child; None: that of this process.
        supervised: it is killed as well when this process is, by ``kill -9`` too. Costs some
            30 ms; for what takes longer than a moment, such as compilers.

    Raises:
        OSError: it cannot be started.
    """
    lifeline, our_end = os.pipe() if supervised else (subprocess.DEVNULL, None)
    if supervised:
        command = [sys.executable, "-I", "-S", "-c", _SUPERVISOR, *command]
    try:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment,
            stdin=lifeline,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
    finally:
        if our_end is not None:
            os.close(lifeline)
            os.close(our_end)
    return process.returncode, output.decode(errors="replace")
