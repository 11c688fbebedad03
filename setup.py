"""Which packages there are, and where; all else is in ``pyproject.toml``.

``hxloop/backends``, ``hxloop/calibration`` and ``hxloop/experiments`` are links to the folders at
the top. A checkout or an archive that has lost the links (Windows, a zip file unpacked without
them) still has the folders, and they are packed from there.
"""

from pathlib import Path

from setuptools import find_packages, setup

LINKED = ("backends", "calibration", "experiments")


def layout(root: Path) -> tuple[list[str], dict[str, str]]:
    """Names of all packages, and the folders of those that are not where their name says.

    Raises:
        SystemExit: part of the package is nowhere.
    """
    packages = find_packages(str(root), include=["hxloop", "hxloop.*"])
    folders = {}
    for name in LINKED:
        package = f"hxloop.{name}"
        if package in packages:
            continue
        if not (root / name / "__init__.py").is_file():
            raise SystemExit(
                f"hxloop: {root} is incomplete: expected the package {package} in hxloop/{name} "
                f"(a link to {name}) or in {name}; found neither. Get it anew: git clone, or the "
                "source archive (sdist)."
            )
        packages += [package, *(f"{package}.{sub}" for sub in find_packages(str(root / name)))]
        folders[package] = name
    return packages, folders


if __name__ == "__main__":
    found, moved = layout(Path(__file__).resolve().parent)
    setup(packages=found, package_dir=moved)
