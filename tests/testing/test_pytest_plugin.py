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


def test_a_plugin_that_is_not_there_is_said_to_be(tmp_path):
    done = conformance(tmp_path, "x", "--evoweights-plugin=push.py", "--evoweights-conformance")
    assert done.returncode == 4
    assert "ERROR: plugins.1: no file" in done.stderr
    assert "INTERNALERROR" not in done.stdout + done.stderr


def test_without_the_option_nothing_is_checked(tmp_path):
    done = conformance(tmp_path, "x")
    assert done.returncode == 5, done.stdout  # no tests were collected
    assert "EW-" not in done.stdout


def test_the_plugin_imports_neither_torch_nor_hypothesis():
    script = "import sys, evoweights.testing.pytest_plugin as _; print({'torch', 'hypothesis'} & set(sys.modules))"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
