"""Installs a distribution's folder without pip: its packages on the path, and metadata beside them."""

import tomllib
from pathlib import Path

import pytest


def put_on_path(distribution: Path, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the packages of ``distribution`` importable and its entry points known, by metadata written to ``site``."""
    project = tomllib.loads((distribution / "pyproject.toml").read_text())["project"]
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = project["entry-points"]["evoweights"].items()
    (info / "entry_points.txt").write_text("[evoweights]\n" + "".join(f"{name} = {place}\n" for name, place in points))
    for folder in (site, distribution):
        monkeypatch.syspath_prepend(str(folder))
