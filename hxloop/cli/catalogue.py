"""Commands that list what there is by name, and tell all about one of them.

Each imports what it needs when it is run, as in ``hxloop.cli.runs``.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer

from hxloop.cli import output as output
from hxloop.cli.app import Json, app
from hxloop.errors import HxloopError, UnknownNameError, unknown_name
from hxloop.registry import Option, options_of

Name = Annotated[str | None, typer.Argument(help="Of one, to be told all about it.")]


@app.command()
def experiments(name: Name = None, json_: Json = False) -> None:
    """List the shipped experiments; or print the configuration of one, with every key."""
    from hxloop.experiments.registry import (
        experiment_description,
        experiment_names,
        load_experiment,
    )
    from hxloop.runs.complete import complete_toml

    if name is not None:
        config = load_experiment(name)
        if json_:
            output.json_object(json.loads(json.dumps(config.model_dump())))
        else:
            output.line(complete_toml(config).rstrip())
        return
    found = {each: experiment_description(each) for each in experiment_names()}
    output.listing("experiments", found, json_)


@app.command()
def backends(name: Name = None, json_: Json = False) -> None:
    """List the installed backends; or the options of one, with defaults and meanings."""
    from hxloop.substrate import backend_class, backend_names

    if name is not None:
        _one("backend", name, backend_class(name), "backend.options", json_)
        return
    found = {}
    for each in backend_names():
        try:
            found[each] = _first_line(backend_class(each))
        except HxloopError as error:
            found[each] = f"not usable: {error}"
    output.listing("backends", found, json_)


@app.command()
def losses(name: Name = None, json_: Json = False) -> None:
    """List the losses; or the options of one, with defaults and meanings."""
    from hxloop.training.losses import REGISTRY

    _of_registry("losses", REGISTRY, name, "loss.options", json_)


@app.command()
def encodings(name: Name = None, json_: Json = False) -> None:
    """List the encodings; or the options of one, with defaults and meanings."""
    from hxloop.data.encoding import REGISTRY

    _of_registry("encodings", REGISTRY, name, "encoding", json_)


@app.command()
def datasets(name: Name = None, json_: Json = False) -> None:
    """List the data sets, or tell about one."""
    from hxloop.data import dataset_descriptions

    found: Mapping[str, str] = dataset_descriptions()
    if name is not None:
        if name not in found:
            raise UnknownNameError(unknown_name("data set", name, found))
        found = {name: found[name]}
    output.listing("datasets", found, json_)


def _of_registry(kind: str, registry: Any, name: str | None, table: str, as_json: bool) -> None:
    if name is not None:
        _one(registry.kind, name, registry.get(name), table, as_json)
        return
    found = {}
    for each in registry.names():
        try:
            found[each] = _first_line(registry.get(each))
        except HxloopError as error:
            found[each] = f"not usable: {error}"
    output.listing(kind, found, as_json)


def _one(kind: str, name: str, found: type[Any], table: str, as_json: bool) -> None:
    """What one is, and its options as a configuration has them."""
    options = options_of(found)
    if as_json:
        output.json_object(
            {
                kind: name,
                "description": _first_line(found),
                "options": [
                    {
                        "name": option.name,
                        "default": _plain(option.default),
                        "required": option.required,
                        "meaning": option.meaning,
                    }
                    for option in options
                ],
            }
        )
        return
    output.line(f"{name}: {_first_line(found)}")
    output.line(f"Options, keys of [{table}]:" if options else "It has no options.")
    for line in _lines(options):
        output.line(line)


def _lines(options: Iterable[Option]) -> Iterable[str]:
    for option in options:
        default = "has to be given" if option.required else _shown(option.default)
        yield f"  {option.name} [{default}]"
        yield from textwrap.wrap(
            option.meaning.replace("``", ""), 92, initial_indent=" " * 6, subsequent_indent=" " * 6
        )


def _first_line(found: type[Any]) -> str:
    return (found.__doc__ or "").strip().partition("\n")[0]


def _shown(value: Any) -> str:
    return "none" if value is None else json.dumps(_plain(value))


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))
