import subprocess
import sys

import evoweights_toy
from evoweights.catalog import Catalog


def test_the_plugin_offers_its_tasks_with_described_settings():
    catalog = Catalog()
    evoweights_toy.register(catalog.registrar("evoweights_toy"))
    assert [entry.name for entry in catalog.entries("task")] == ["digits", "function"]
    for entry in catalog.entries("task"):
        assert all(field.metadata["doc"] for field in entry.settings)


def test_importing_the_plugin_imports_no_heavy_package():
    code = "import sys, evoweights_toy; print({'torch', 'numpy', 'sklearn'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"
