"""What the built-in components declare of their settings."""

import dataclasses

from evoweights.config.defaults import check_settings
from evoweights.plugins.loading import load_plugins


def test_every_built_in_component_declares_what_can_be_given(tmp_path):
    entries = list(load_plugins(folder=tmp_path).catalog.entries())
    assert len(entries) > 30 and all(dataclasses.is_dataclass(each.component) for each in entries)
    for each in entries:
        check_settings(each.kind, each.component)
