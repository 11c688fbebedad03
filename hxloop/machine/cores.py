"""What this process may use of the machine: processors, and places for files."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import stat
import tempfile
from functools import cache
from pathlib import Path, PurePosixPath

logger = logging.getLogger(__name__)


def usable_cores(root: Path = Path("/")) -> int:
    """Processors that this process may use: by its affinity, and by the quota of its container.

    Args:
        root: of the file system, for tests.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quota = min(_quotas(root), default=math.inf)
    return max(1, cores if quota == math.inf else min(cores, math.ceil(quota)))


def _quotas(root: Path) -> list[float]:
    """Processors that control groups (version 1 and 2) allow, one for each that says a number."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            mount = root / "sys/fs/cgroup"
            files: tuple[str, ...] = ("cpu.max",)
        elif "cpu" in controllers.split(","):
            mount = root / "sys/fs/cgroup" / controllers
            files = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
            if not mount.is_dir():
                mount = root / "sys/fs/cgroup/cpu"
        else:
            continue
        inside = PurePosixPath(path.lstrip("/"))
        # A limit of a group holds for all groups in it.
        for group in (inside, *inside.parents):
            with contextlib.suppress(OSError, ValueError, IndexError):
                words = " ".join((mount / group / name).read_text() for name in files).split()
                quota, period = int(words[0]), int(words[1])
                if quota > 0 and period > 0:
                    found.append(quota / period)
    return found


def user_cache() -> Path | None:
    """``$XDG_CACHE_HOME``, else ``~/.cache``; None for a user without a home.

    A relative ``XDG_CACHE_HOME`` does not count, as its standard says.
    """
    given = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(given):
        return Path(given)
    if os.environ.get("HOME") == "":
        return None
    home = os.path.expanduser("~")
    return Path(home) / ".cache" if os.path.isabs(home) else None


def cache_folders(name: str) -> tuple[Path, ...]:
    """Where hxloop keeps what it can make anew, the best place first; nothing is made.

    Args:
        name: of what is kept.
    """
    user = user_cache()
    places = [] if user is None else [user / "hxloop" / name]
    return (*places, Path(tempfile.gettempdir()) / f"hxloop-of-user-{os.geteuid()}" / name)


def make_private(folder: Path) -> None:
    """Make a folder of ``cache_folders``. What lies below the temporary folder must be one's own.

    Raises:
        OSError: it cannot be made or written, or somebody else made it.
    """
    top = folder.parent
    if top.name == f"hxloop-of-user-{os.geteuid()}":
        top.mkdir(mode=0o700, exist_ok=True)
        found = os.lstat(top)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise PermissionError(f"{top} is not a folder of this user alone")
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{folder} cannot be written")


@cache
def say_once(text: str) -> None:
    """A warning in the log, which without settings of one's own is on stderr; once a process."""
    logger.warning(text)
