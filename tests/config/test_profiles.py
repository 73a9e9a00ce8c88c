"""Profiles: lists of settings in a configuration that are applied when they are asked for."""

from pathlib import Path

import pytest

from evoweights.config.loading import config_from_text, load_config
from evoweights.errors import UsageError

TEXT = """
name: own
generations: 40
task: {name: toy, model: tiny, layers: 8}
population: {name: pop}
profiles:
  smoke:
    - name=own_smoke
    - generations=2
    - task.layers=4
  other: []
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "own.yaml"
    path.write_text(TEXT)
    return path


def test_a_profile_is_applied_under_what_is_typed_and_kept_with_it(file: Path) -> None:
    config = load_config(file, ["task.layers=5"], profile="smoke")
    assert (config.name, config.generations, config.task.layers) == ("own_smoke", 2, 5)
    assert config.overrides == ("name=own_smoke", "generations=2", "task.layers=4", "task.layers=5")
    again = config_from_text(config.text, where="text", folder=file.parent)
    assert (again.name, again.generations, again.task.layers) == ("own_smoke", 2, 5)


def test_without_a_profile_the_file_is_as_it_stands(file: Path) -> None:
    config = load_config(file)
    assert (config.name, config.generations, config.task.layers) == ("own", 40, 8)
    assert "profiles" not in config.text


def test_an_unknown_profile_names_the_nearest(file: Path) -> None:
    with pytest.raises(UsageError, match=r"--profile: .*own\.yaml has no profile 'smok'.*smoke"):
        load_config(file, profile="smok")
    file.write_text(file.read_text().partition("profiles:")[0])
    with pytest.raises(UsageError, match=r"has no profile 'smok'\. It has no profiles; they stand under `profiles`\."):
        load_config(file, profile="smok")


@pytest.mark.parametrize("wrong", ["[a]", "{smoke: generations=2}", "{smoke: {generations: 2}}", "{smoke: [2]}"])
def test_profiles_of_another_form_are_refused(file: Path, wrong: str) -> None:
    file.write_text(TEXT.split("profiles:")[0] + f"profiles: {wrong}\n")
    with pytest.raises(UsageError, match=r"profiles: expected a mapping of names to lists of settings"):
        load_config(file)


def test_a_setting_in_a_profile_that_does_not_exist_is_named(file: Path) -> None:
    file.write_text(TEXT.replace("task.layers=4", "task.layer=4"))
    load_config(file)
    with pytest.raises(UsageError, match=r"task\.layer: unknown setting of task toy"):
        load_config(file, profile="smoke")
