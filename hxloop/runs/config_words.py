"""What is wrong with a configuration, in the words of whoever wrote the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from hxloop.errors import unknown_name
from hxloop.text import printable

_WHOLE, _LIST, _TABLE = "a whole number", "a list", "a table of key = value"
# What pydantic calls a fault -> what was expected.
_EXPECTED = {
    "int_type": _WHOLE,
    "int_from_float": _WHOLE,
    "int_parsing": _WHOLE,
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": _LIST,
    "list_type": _LIST,
    "dict_type": _TABLE,
    "mapping_type": _TABLE,
    "model_type": _TABLE,
    "model_attributes_type": _TABLE,
    "missing": "a value",
    "control_character": "text without control characters",
}


def explained(problems: Sequence[Mapping[str, Any]], model: Any) -> list[str]:
    """One line for each value that is wrong.

    Args:
        problems: of ``pydantic.ValidationError.errors()``.
        model: the class that was validated.
    """
    lines: dict[str, list[str]] = {}
    for problem in problems:
        if problem["type"] == "extra_forbidden":
            lines[_unknown_key(problem["loc"], model)] = []
            continue
        # Of a value that may be of several kinds each kind complains, and adds its own name.
        path = [part for part in problem["loc"] if isinstance(part, int) or part.isidentifier()]
        got = in_toml(problem["input"])
        lines.setdefault(f"{_dotted(path)}|{got}", []).append(_expected(problem))
    return [
        f"{where}: expected {' or '.join(dict.fromkeys(expected))}; got {got}" if expected else key
        for key, expected in lines.items()
        for where, _, got in [key.partition("|")]
    ]


def in_toml(value: Any) -> str:
    """A value as one would write it in a TOML file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{printable(value)}"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(in_toml, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {in_toml(item)}" for key, item in value.items()) + "}"
    return str(value)


def _expected(problem: Mapping[str, Any]) -> str:
    context = problem.get("ctx", {})
    if problem["type"] == "literal_error":
        return str(context["expected"])
    for key, words in (
        ("ge", "at least"),
        ("gt", "more than"),
        ("le", "at most"),
        ("lt", "less than"),
    ):
        if key in context:
            return f"{words} {context[key]}"
    # A kind of fault that no section asks about today.
    words = _EXPECTED.get(problem["type"], "another value")
    if words == _LIST:
        one = isinstance(problem["input"], int | float)
        words += f", like [{in_toml(problem['input'])}]" if one else ", like [1, 2]"
    if words == _TABLE and problem["loc"][-1:] in (("backend",), ("loss",), ("dataset",)):
        words += f" (its name is {problem['loc'][-1]}.name)"
    return words


def _unknown_key(location: Sequence[Any], model: Any) -> str:
    *places, name = location
    path = [str(part) for part in places if not isinstance(part, int)]
    root = model
    for part in path:
        model = _table_of(model.model_fields[part].annotation)
    kind = f"key in [{'.'.join(path)}]" if path else "key"
    elsewhere = [] if path else _places(name, root)
    hint = f" There is {' and '.join(elsewhere)}." if elsewhere else ""
    return unknown_name(kind, name, model.model_fields) + hint


def _table_of(annotation: Any) -> Any:
    """The section of a key, be it an array of tables."""
    return annotation if hasattr(annotation, "model_fields") else get_args(annotation)[0]


def _places(name: str, model: Any, above: str = "") -> list[str]:
    """Where in the tables below a key of this name is, dotted."""
    found = []
    for key, field in model.model_fields.items():
        if hasattr(field.annotation, "model_fields"):
            found += _places(name, field.annotation, f"{above}{key}.")
        elif above and key == name:
            found.append(above + key)
    return found


def _dotted(path: Sequence[Any]) -> str:
    return "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" if index else str(part)
        for index, part in enumerate(path)
    )
