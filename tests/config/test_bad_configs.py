import json
import subprocess
import sys
from pathlib import Path

import pytest
from bad_configs import BAD, GOOD
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evoweights.config.loading import config_from_text, load_config
from evoweights.errors import EvoweightsError, UsageError

# Loads every bad configuration in one fresh process and reports the exit codes, and whether torch was imported.
ALL_IN_ONE = """
import json, sys
from pathlib import Path
from bad_configs import BAD
from evoweights.plugins import sources as plugin_sources
from evoweights.cli import main
plugin_sources.BUILT_IN = ("fake_components",)
codes = {}
for name, bad in BAD.items():
    Path("bad.yaml").write_text(bad.text)
    sys.argv = ["evoweights", "run", "bad.yaml", *bad.overrides]
    try:
        main()
    except SystemExit as error:
        codes[name] = error.code
print(json.dumps({"codes": codes, "torch": "torch" in sys.modules}))
"""


@pytest.mark.parametrize("name", BAD)
def test_message_says_where_what_was_found_and_what_is_allowed(name: str) -> None:
    bad = BAD[name]
    Path("bad.yaml").write_text(bad.text)
    with pytest.raises(UsageError) as caught:
        load_config("bad.yaml", bad.overrides)
    message = bad.message.removesuffix("[...]")
    shown = str(caught.value)
    assert shown == message or (bad.message.endswith("[...]") and shown.startswith(message))


def test_text_without_the_mistakes_is_good() -> None:
    Path("good.yaml").write_text(GOOD)
    assert load_config("good.yaml").generations == 3


def test_bad_configs_exit_with_2_before_torch_is_imported() -> None:
    script = ["-c", ALL_IN_ONE]
    # The folder of this file holds the modules that the script imports.
    environment = {"PYTHONPATH": ":".join([str(Path(__file__).parent), *sys.path])}
    done = subprocess.run([sys.executable, *script], env=environment, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    assert answer == {"codes": dict.fromkeys(BAD, 2), "torch": False}
    assert "Traceback" not in done.stderr


def test_all_mistakes_are_shown_at_once() -> None:
    text = """\
    generation: 3
    name: x
    seed: 1.5
    task: {name: toy, model: tiny, layers: 9, files: [1]}
    population: {name: popp}
    vary:
      - {name: mix, rate: 2, ratee: 3}
      - {name: band, low: 1, high: 0}
    """
    with pytest.raises(UsageError) as caught:
        config_from_text(text, ["population.size=many", "checkpoint.keep=0"], where="x.yaml", folder=Path())
    first, *others = str(caught.value).splitlines()
    assert first == "x.yaml: 10 mistakes:"
    assert [" ".join(line.split(": ")[:2]).strip() for line in others] == [
        "x.yaml:1 generation",
        "x.yaml generations",
        "x.yaml:5 population.name",
        "x.yaml:7 vary.0.ratee",
        "x.yaml:3 seed",
        "x.yaml:4 task.layers",
        "x.yaml:4 task.files.0",
        "x.yaml:7 vary.0.rate",
        "x.yaml:8 vary.1",
        "command line checkpoint.keep",
    ]


def test_missing_file_names_the_nearest() -> None:
    Path("configs").mkdir()
    Path("configs/eoe_gpt2.yaml").write_text(GOOD)
    with pytest.raises(
        UsageError, match=r"configs/eoe_gtp2\.yaml: there is no such file\. Did you mean 'configs/eoe_gpt2"
    ):
        load_config("configs/eoe_gtp2.yaml")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"name: \xe9\n", b"\x00\x01"])
def test_file_that_is_no_text_is_refused(content: bytes) -> None:
    Path("binary.yaml").write_bytes(content)
    with pytest.raises(UsageError, match=r"binary\.yaml: cannot be read as"):
        load_config("binary.yaml")


def test_folder_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot be read as a text file"):
        load_config(".")


PIECES = st.sampled_from(
    [
        *"\n\n\n  :-[]{},&*!#|>'\"%@`?~$\\\t",
        "a",
        "name",
        "toy",
        "task",
        "vary",
        "1",
        "0x1",
        ".nan",
        "${a}",
        "- ",
        ": ",
        "<<",
    ]
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(PIECES, max_size=60), override=st.text(max_size=20))
def test_no_text_gives_anything_but_a_message(pieces: list[str], override: str) -> None:
    with pytest.raises(EvoweightsError) as caught:
        config_from_text("".join(pieces), [override], where="fuzz", folder=Path())
    assert str(caught.value)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


KEYS = (
    *("seed", "name", "device", "plugins", "preset", "turn", "turn.name", "vary", "vary.0", "checkpoint", "observers"),
    *("task", "task.model", "task.layers", "task.widths", "task.weights", "task.mode", "task.folder", "task.learn"),
)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.sampled_from(KEYS), value=VALUES)
def test_any_value_at_any_key_is_taken_or_explained(key: str, value: object) -> None:
    text = f"name: x\n{GOOD}"
    try:
        config = config_from_text(text, [f"{key}={json.dumps(value)}"], where="fuzz", folder=Path())
    except EvoweightsError as error:
        assert error.exit_code == 2 and key.split(".")[0] in str(error)
    else:
        assert config_from_text(config.text, where="again", folder=Path()).text == config.text
