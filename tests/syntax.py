"""All modules of the library, and what is read off their syntax trees, whatever the house."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("hxloop", "backends", "calibration", "experiments")


def module_name(path: Path) -> str:
    """``backends/ideal.py`` -> ``hxloop.backends.ideal``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    if parts[0] != "hxloop":
        parts = ("hxloop", *parts)
    return ".".join(part for part in parts if part != "__init__")


def library() -> Iterator[tuple[str, Path]]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            below = path.relative_to(ROOT).parts
            # Symlinks hxloop/backends -> ../backends: every file once, where it really is.
            if "__pycache__" not in below and not (below[0] == "hxloop" and below[1] in FOLDERS):
                yield module_name(path), path


MODULES = dict(library())


@cache
def source_of(module: str) -> str:
    return MODULES[module].read_text(encoding="utf-8")


@cache
def tree_of(source: str) -> ast.Module:
    """Each source is parsed once, for all rules."""
    return ast.parse(source)


@cache
def nodes_of(source: str) -> tuple[ast.AST, ...]:
    """All nodes of the tree."""
    return tuple(ast.walk(tree_of(source)))


def lies_in(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def room_of(name: str) -> str:
    """``hxloop.training.losses`` -> ``training``; "" for what is not ours, or ``hxloop`` itself."""
    parts = name.split(".")
    return parts[1] if parts[0] == "hxloop" and len(parts) > 1 else ""


def imports_at_load(tree: ast.AST) -> Iterator[str]:
    """What importing the module imports: all but what stands inside a function."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
        yield from imports_at_load(node)


def others_privates(module: str, source: str, known: tuple[str, ...] = ()) -> list[str]:
    """``other._name`` where neither the module itself defines it nor it is known to be meant."""
    own = set(re.findall(r"(?:def|class) (_\w+)", source))
    own |= set(re.findall(r"^\s*(?:self\.)?(_\w+)\b.*[:=]", source, re.MULTILINE))
    own |= set(re.findall(r"self\.(_\w+)", source)) | set(known)
    return [
        f"{module}:{node.lineno}: {ast.unparse(node)}"
        for node in nodes_of(source)
        if isinstance(node, ast.Attribute)
        and re.match(r"_[^_]", node.attr)
        and ast.unparse(node.value) not in ("self", "cls", "super()")
        and node.attr not in own
    ]


def privates_touched(where: str, source: str, known: tuple[str, ...] = ()) -> list[str]:
    """What a test takes from the library that is private there: attributes, names, or by text."""
    found = others_privates(where, source, known)
    for node in nodes_of(source):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hxloop"):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Call) and re.search(r"attr$|patch", ast.unparse(node.func)):
            names = [str(arg.value) for arg in node.args[:2] if isinstance(arg, ast.Constant)]
        found += [f"{where}: {name}" for name in names if re.search(r"(^|\.)_[^_.][^.]*$", name)]
    return found


PROBED = re.compile(r"(backend|session|calibration|readout|subject)s?$")


def probes(module: str, source: str) -> list[str]:
    """Literal ``getattr`` and ``hasattr`` where a protocol should stand."""
    return [
        f"{module}:{node.lineno}: {ast.unparse(node)}"
        for node in nodes_of(source)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("getattr", "hasattr")
        and len(node.args) > 1
        and isinstance(node.args[1], ast.Constant)
        and PROBED.search(ast.unparse(node.args[0]))
        and not lies_in(module, "hxloop.substrate")
    ]


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other, however far round."""
    reach: dict[str, set[str]] = {}
    for start in graph:
        seen: set[str] = set()
        todo = list(graph[start])
        while todo:
            module = todo.pop()
            if module not in seen:
                seen.add(module)
                todo += graph.get(module, ())
        reach[start] = seen
    groups = {
        tuple(sorted(o for o in graph if o in reach[module] and module in reach[o]))
        for module in graph
        if module in reach[module]
    }
    return [list(group) for group in sorted(groups)]


def undocumented(module: str, source: str) -> list[str]:
    tree = tree_of(source)
    found = [] if ast.get_docstring(tree) or not tree.body else [module]
    owners: list[tuple[str, ast.Module | ast.ClassDef]] = [(module, tree)]
    for owner, node in owners:
        for child in node.body:
            if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            if child.name.startswith("_"):
                continue
            name = f"{owner}.{child.name}"
            if not ast.get_docstring(child):
                found.append(name)
            if isinstance(child, ast.ClassDef):
                owners.append((name, child))
    return found


def long_files_of_tests(folder: Path, most: int) -> dict[str, int]:
    """How many lines, where they are more than one reads at once."""
    lines = {
        path.relative_to(folder).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in sorted(folder.rglob("*.py"))
    }
    return {name: number for name, number in lines.items() if number > most}
