"""The fixtures of the pytest plugin: what authors' own tests stand on."""

import os
import subprocess
import sys
import types

import pytest
import torch
from small_components import Blend, SharedFirst, Wander

from evoweights import hookimpl
from evoweights.errors import PluginError, UsageError
from evoweights.testing import population_digest


def module_with(component, name="given"):
    """A module as an author's plugin is one."""
    made = types.ModuleType(name)

    @hookimpl
    def register(catalog):
        catalog.add("operator", component)

    made.register = register
    return made


def test_plugins_are_the_built_in_ones_and_those_that_are_given(evoweights_plugins):
    plain, mine = evoweights_plugins(), evoweights_plugins(module_with(Blend))
    names = [{each.name for each in found.catalog.entries("operator")} for found in (plain, mine)]
    assert "crossover" in names[0] and names[1] - names[0] == {"blend"}
    assert [each.name for each in mine.loaded][-1] == "given"
    assert mine.manager is not plain.manager and mine.catalog is not plain.catalog


def test_a_file_in_the_test_folder_is_a_plugin(evoweights_plugins, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from evoweights import hookimpl\nfrom small_components import Blend\n"
        "@hookimpl\ndef register(catalog):\n    catalog.add('operator', Blend)\n"
    )
    assert evoweights_plugins("mine.py").catalog.find("operator", "blend", where="here").component is Blend
    with pytest.raises(UsageError, match="no file"):
        evoweights_plugins("other.py")


def test_a_plugin_that_breaks_the_rules_is_refused_with_its_name(evoweights_plugins):
    with pytest.raises(PluginError, match="plugin empty: it has no hook"):
        evoweights_plugins(types.ModuleType("empty"))
    with pytest.raises(PluginError, match=r"'operator blend' is taken twice: by first .* and by second"):
        evoweights_plugins(module_with(Blend, "first"), module_with(Blend, "second"))


def test_neither_environment_nor_user_file_counts(monkeypatch, request, tmp_path):
    monkeypatch.setenv("EVOWEIGHTS_NO_PLUGINS", "1")
    load = request.getfixturevalue("evoweights_plugins")
    (tmp_path / "mine.py").write_text("from evoweights import hookimpl\n@hookimpl\ndef register(catalog): ...\n")
    assert load("mine.py").loaded[-1].name == "mine"
    assert os.environ["XDG_CONFIG_HOME"] == str(tmp_path / "configuration")


def test_a_tiny_population_can_be_varied_and_read(tiny_population):
    assert (tiny_population.size, tiny_population.home) == (3, "host")
    assert all(each.is_unknown for each in tiny_population.individuals)
    roles = {each.role for each in tiny_population.layout.segments}
    assert roles == {"matrix", "vector", "embedding", "frozen"}
    assert all(torch.isfinite(tiny_population.row(row)).all() for row in range(3))
    assert not torch.equal(tiny_population.row(0), tiny_population.row(1))
    assert set(tiny_population.tensors(0)) >= {"weights", "adamw.first_moment"}


def test_without_hypothesis_it_is_said_what_to_install(monkeypatch, request):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(UsageError, match="needs hypothesis, which is not installed"):
        request.getfixturevalue("tiny_population")


def test_a_run_with_components_as_they_are_is_the_run_of_their_names(run_engine):
    given = run_engine({"name": "given", "improve": [Wander(steps=3)], "vary": [Blend(share=0.25)]})
    modules = [module_with(Blend), module_with_improver()]
    named = run_engine(
        {"name": "named", "improve": [{"name": "wander", "steps": 3}], "vary": [{"name": "blend", "share": 0.25}]},
        plugins=modules,
    )
    assert population_digest(given.folder) == population_digest(named.folder)
    assert "- name: blend\n" in (given.folder / "config.yaml").read_text()


def module_with_improver():
    """Another module."""
    made = types.ModuleType("improving")

    @hookimpl
    def register(catalog):
        catalog.add("improve", Wander)

    made.register = register
    return made


def test_every_kind_of_component_may_be_given_as_it_is(run_engine, tmp_path):
    from evoweights_classic import RoundRobin
    from evoweights_classic.selections import Truncation
    from evoweights_toy.settings import Function

    result = run_engine({"population": SharedFirst(size=2), "turn": RoundRobin(), "select": Truncation(share=0.5)})
    assert len(result.table) == 2 and result.folder == tmp_path / "runs" / "tiny"
    best = run_engine({"name": "f", "task": Function(dimension=3)}).best_fitness
    assert best < 30


def test_a_run_may_be_given_as_text(run_engine):
    result = run_engine("name: text\ngenerations: 2\nvary: [{name: mutation, rate: 0.5}]\n")
    assert result.folder.name == "text"
    assert "generations: 2" in (result.folder / "config.yaml").read_text()


def test_a_preset_is_not_written_over(run_engine, evoweights_plugins):
    with pytest.raises(UsageError, match="no preset is called 'nothing'"):
        run_engine({"preset": "nothing"})


def test_a_mistake_in_a_configuration_is_said_as_ever(run_engine):
    with pytest.raises(UsageError, match=r"vary.0.name: no operator is called 'crosover'.*Did you mean 'crossover'"):
        run_engine({"vary": [{"name": "crosover"}]})


def test_a_component_that_no_catalog_would_take_is_refused(run_engine):
    import dataclasses

    @dataclasses.dataclass(frozen=True)
    class Nameless:
        """Has no source."""

        name = "nameless"

    with pytest.raises(PluginError, match="needs a class attribute `source`"):
        run_engine({"turn": Nameless()})


AUTHORS = """
def test_nothing_is_imported_before_it_is_used(evoweights_plugins):
    import sys
    assert not {"torch", "hypothesis"} & (set(sys.modules) - before)

def test_mine(run_engine):
    assert run_engine({"generations": 1}).best_fitness > 0

import sys
before = set(sys.modules)
"""


def test_an_author_has_them_without_importing_anything(tmp_path):
    (tmp_path / "test_mine.py").write_text(AUTHORS)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "evoweights.testing.pytest_plugin"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout + done.stderr
