"""``pytest --evoweights-conformance`` in a folder that has a plugin and no test file."""

import os
import subprocess
import sys

import pytest

OPERATOR = '''
from dataclasses import dataclass
from evoweights import Gene, GeneOperator, Scalar, Traits, gene_kernel, hookimpl, setting

@gene_kernel
def pulled(x: Gene, leader: Gene, pull: Scalar):
    return {body}

@dataclass(frozen=True)
class Pull(GeneOperator):
    """Pulls genes towards the leader's."""

    name, source, kernel = "pull", "a test", pulled
    traits = Traits("crossover", stochastic=False, gene_wise=True)
    pull: float = setting(0.25, "share of the way", minimum=0.0, maximum=1.0)

@hookimpl
def register(catalog):
    catalog.add("operator", Pull)
'''
COMMAND = ("-p", "evoweights.testing.pytest_plugin", "-p", "no:cacheprovider", "--evoweights-profile=quick", "-rfs")


def conformance(folder, body, *arguments):
    (folder / "pull.py").write_text(OPERATOR.format(body=body))
    command = [sys.executable, "-m", "pytest", *COMMAND, "--evoweights-plugin=pull.py", *arguments]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("body", ["x + pull * (leader - x)", "x + pull * (leader - x) * 1e38 * 1e38"])
def test_a_plugin_is_checked_by_rule_and_name(tmp_path, body):
    done = conformance(tmp_path, body, "--evoweights-conformance")
    is_sound = "1e38" not in body
    assert done.returncode == (0 if is_sound else 1), done.stdout + done.stderr
    assert "does not claim copies" in done.stdout
    assert ("evoweights::EW-G14[pull]" in done.stdout) == (not is_sound)
    if is_sound:
        return
    assert (
        "EW-G14 of pull: infinity from moderate genes\nRule: moderate genes stay finite; extreme ones never"
        in done.stdout
    )
    assert f"In:   {tmp_path / 'pull.py'}:9\nFor:  cpu, " in done.stdout
    assert "def finite(" not in done.stdout and "hypothesis" not in done.stdout


def test_the_whole_traceback_is_shown_to_those_who_ask_for_it(tmp_path):
    body = "x + pull * (leader - x) * 1e38 * 1e38"
    done = conformance(tmp_path, body, "--evoweights-conformance", "--tb=long", "-k", "EW-G14")
    assert "def finite(" in done.stdout and "AssertionError: infinity from moderate genes" in done.stdout


def test_a_plugin_that_is_not_there_is_said_to_be(tmp_path):
    done = conformance(tmp_path, "x", "--evoweights-plugin=push.py", "--evoweights-conformance")
    assert done.returncode == 4
    assert "ERROR: plugins.1: no file" in done.stderr
    assert "INTERNALERROR" not in done.stdout + done.stderr


def test_of_the_installed_plugins_a_broken_or_disabled_one_does_not_keep_the_others_from_being_checked(tmp_path):
    """Nor do two that call their components alike: a run names one of them."""
    sound, broken = OPERATOR.format(body="x + pull * (leader - x)"), "import no_such_module\n"
    codes = {"broken": broken, "twin_a": sound, "twin_b": sound, "off": broken}
    for name, code in codes.items():
        (tmp_path / f"fake_{name}.py").write_text(code)
        info = tmp_path / f"fake_{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: fake-{name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[evoweights]\n{name} = fake_{name}\n")
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
        "EVOWEIGHTS_LOAD_PLUGINS": "broken,twin_a,twin_b",
    }
    command = [sys.executable, "-m", "pytest", *COMMAND, "--evoweights-conformance", "-rA"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed" in done.stdout and "No module named 'no_such_module'" in done.stdout
    assert "evoweights::plugin[broken] - Failed" in done.stdout and "Traceback" not in done.stdout
    lines = [line.partition("evoweights::")[::2] for line in done.stdout.splitlines() if "::EW-G14[" in line]
    assert [(how.split()[0], rule) for how, rule in lines] == [
        ("PASSED", f"EW-G14[{each}:pull]") for each in ("twin_a", "twin_b")
    ]
    assert "[off]" not in done.stdout


def test_a_plugin_that_nothing_would_be_done_with_is_refused(tmp_path):
    done = conformance(tmp_path, "x")
    assert done.returncode == 4 and "EW-" not in done.stdout
    assert "--evoweights-plugin names what is checked with --evoweights-conformance: give both." in done.stderr


def test_the_plugin_imports_neither_torch_nor_hypothesis():
    script = "import sys, evoweights.testing.pytest_plugin as _; print({'torch', 'hypothesis'} & set(sys.modules))"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


BROKEN = """
from evoweights.testing import task_ground, training_ground
from evoweights.testing.checks import numbers
from evoweights.testing.stateful import machine

def test_all():
    found = (task_ground, training_ground, numbers, machine)
    assert {type(each.__loader__).__name__ for each in found} == {"AssertionRewritingHook"}
"""


def test_a_broken_assertion_of_the_kit_shows_what_was_compared(tmp_path):
    """Also where the plugin is not found by its entry point, for which pytest would look after the whole distribution."""
    (tmp_path / "test_mine.py").write_text(BROKEN)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "evoweights.testing.pytest_plugin"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
