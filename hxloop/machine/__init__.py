"""The machine this runs on: its cores and caches, compiled functions, programs that it starts."""

from hxloop.machine.cores import (
    cache_folders,
    make_private,
    say_once,
    usable_cores,
    user_cache,
)

__all__ = ["cache_folders", "make_private", "say_once", "usable_cores", "user_cache"]
