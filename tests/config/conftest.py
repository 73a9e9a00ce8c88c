"""Configurations are loaded with a plugin of the tests as the only one there is."""

from pathlib import Path

import pytest

from evoweights.plugins import sources as plugin_sources


@pytest.fixture(autouse=True)
def fake_built_ins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(plugin_sources, "BUILT_IN", ("fake_components",))
    monkeypatch.setattr(plugin_sources, "installed_plugins", list)
    monkeypatch.chdir(tmp_path)
