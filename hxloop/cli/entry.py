"""The ``hxloop`` command: its entry point, and what becomes of errors."""

from __future__ import annotations

import re
import sys
from typing import Annotated

import typer

from hxloop.cli import catalogue as cli_catalogue
from hxloop.cli import chips as cli_chips
from hxloop.cli import exchange as cli_exchange
from hxloop.cli import look as cli_look
from hxloop.cli import output as output
from hxloop.cli import plans as cli_plans
from hxloop.cli import presets as cli_presets
from hxloop.cli import runs as cli_runs
from hxloop.cli import sweeps as cli_sweeps
from hxloop.cli import tools as cli_tools
from hxloop.cli.app import FAILURE, INTERRUPTED, USAGE, app
from hxloop.cli.words import in_commands
from hxloop.errors import (
    CalibrationInterrupted,
    CapacityError,
    ConfigError,
    HxloopError,
    NetworkError,
    OutputError,
    TrainingInterrupted,
    UnknownNameError,
    unknown_name,
)
from hxloop.text import printable
from hxloop.version import __version__

# Importing them adds their commands to the application.
COMMANDS = (
    cli_runs, cli_look, cli_exchange, cli_tools, cli_catalogue, cli_plans, cli_presets, cli_chips,
    cli_sweeps,
)  # fmt: skip
_USAGE_ERRORS = (ConfigError, UnknownNameError, OutputError, NetworkError, CapacityError)


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> None:
    """Options before the command; ``main`` sees to both of them."""


def main(arguments: list[str] | None = None) -> None:
    """Entry point: runs the command, turns errors into one message and an exit status.

    Raises:
        SystemExit: 0 done, 2 wrong usage or configuration, 130 interrupted, 1 anything else.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    # Allowed anywhere, because one reaches for it after a command has failed.
    raise SystemExit(_run([word for word in words if word != "--debug"], debug))


def _run(words: list[str], debug: bool) -> int:
    known = sorted(c.name or c.callback.__name__ for c in app.registered_commands if c.callback)
    if words[:1] == ["--version"]:
        output.line(f"hxloop {__version__}")
        return 0
    if words and not words[0].startswith("-") and words[0] not in known:
        # Said here, since what typer would say does not list the commands.
        output.error(f"{unknown_name('command', words[0], known)} More: hxloop --help")
        return USAGE
    words = words or ["--help"]
    try:
        with output.warnings_as_lines():
            status = typer.main.get_command(app).main(words, "hxloop", standalone_mode=False)
    except typer.TyperException as error:
        if debug:
            raise
        problem = _in_words(error.format_message().rstrip("."), words)
        hint = f"{words[0]} " if words[0] in known else ""
        output.error(f"{problem}. More: hxloop {hint}--help")
        return error.exit_code
    except (TrainingInterrupted, CalibrationInterrupted) as error:
        output.error(str(error))
        return INTERRUPTED
    except typer.Abort:
        status = INTERRUPTED
    except Exception as error:
        if debug:
            raise
        output.error(_message(error))
        return USAGE if isinstance(error, _USAGE_ERRORS) else FAILURE
    if status == INTERRUPTED:  # what typer makes of Ctrl-C
        output.error("interrupted at once; an interrupted training goes on: hxloop resume DIR")
    return int(status) if isinstance(status, int) else 0


def _in_words(problem: str, words: list[str]) -> str:
    """What the parser says of a value, as everything else here would say it."""
    found = re.match(r"Invalid value for '(--[\w-]+)'.*: .*valid (integer|number)", problem)
    if found is None:
        return problem
    option = found[1]
    given = [word.partition("=")[2] for word in words if word.startswith(option + "=")]
    if option in words[:-1]:
        given.append(words[words.index(option) + 1])
    kind = "a whole number" if found[2] == "integer" else "a number"
    return f"{option}: expected {kind}" + (f"; got {printable(given[-1])!r}" if given else "")


def _message(error: Exception) -> str:
    if isinstance(error, HxloopError | OSError):
        return in_commands("\n".join([str(error), *getattr(error, "__notes__", [])]))
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        if package != "hxloop":
            return (
                f"this needs the package {package!r}, which is not installed ({error}). What is "
                "missing, and for what: hxloop doctor"
            )
    return f"{type(error).__name__}: {error}\nThis should not happen; --debug shows where it did."
