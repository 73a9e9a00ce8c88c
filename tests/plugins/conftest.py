"""Distributions that exist only for a test, installed the way pip does it: metadata and a module on the path."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_distributions import Install

from evoweights.plugins import sources as plugin_sources


@pytest.fixture(autouse=True)
def no_plugin_is_switched_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by whoever runs the tests nor by an earlier test."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    for each in ("EVOWEIGHTS_NO_PLUGINS", "EVOWEIGHTS_LOAD_PLUGINS", "EVOWEIGHTS_DISABLED_PLUGINS"):
        monkeypatch.delenv(each, raising=False)


@pytest.fixture(autouse=True)
def no_built_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a test installs is there."""
    monkeypatch.setattr(plugin_sources, "BUILT_IN", ())


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """``install("foo", code)`` makes distribution evoweights-foo with module fake_foo and entry point foo.

    ``place`` is what the entry point names instead, ``requires`` what the distribution depends on.
    """
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    before = set(sys.modules)

    def put(
        name: str,
        code: str,
        *,
        version: str = "1.0",
        distribution: str | None = None,
        place: str = "",
        requires: str = "",
    ) -> None:
        distribution = distribution or f"evoweights-{name}"
        module = f"fake_{name}"
        (site / f"{module}.py").write_text(code)
        info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        needs = f"Requires-Dist: {requires}\n" if requires else ""
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n{needs}")
        (info / "entry_points.txt").write_text(f"[evoweights]\n{name} = {place or module}\n")

    yield put
    for each in set(sys.modules) - before:
        if each.startswith(("fake_", "evoweights_local_")):
            del sys.modules[each]
