import subprocess
import sys

import evoweights_monitor
from evoweights.catalog import Catalog
from evoweights_monitor.console import ConsoleProgress
from evoweights_monitor.tensorboard import TensorBoard


def test_the_plugin_offers_its_observers():
    catalog = Catalog()
    evoweights_monitor.register(catalog.registrar("evoweights_monitor"))
    assert [entry.name for entry in catalog.entries("observer")] == ["console", "tensorboard"]
    console = catalog.find("observer", "console", where="observers.0")
    assert [field.name for field in console.settings] == ["quiet"]


def test_observers_keep_their_sessions_apart_and_out_of_comparison(make_info, make_console):
    first, second = TensorBoard(), TensorBoard()
    first.run_started(make_info())
    assert first == second
    assert second._session.writer is None
    first.run_failed()
    assert ConsoleProgress() != ConsoleProgress(quiet=True)


def test_importing_the_plugin_imports_no_heavy_package():
    code = "import sys, evoweights_monitor; print({'torch', 'rich', 'tensorboard', 'numpy'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"
