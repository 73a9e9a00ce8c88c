"""What the kernels' README shows runs, and what it lists exists."""

import re
from pathlib import Path

from evoweights_kernels import bodies

README = (Path(__file__).parents[2] / "kernels" / "README.md").read_text()


def test_the_example_runs():
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    namespace = {"__name__": "readme_example"}
    exec(compile(example, "README.md", "exec"), namespace)
    assert namespace["backend"] == "cpu" and namespace["momentum"].any()


def test_every_body_is_listed():
    table = README.split("## The operators that ship")[1].split("##")[0]
    for name in bodies.__all__:
        assert f"`{name}`" in table or f"`_{name.rsplit('_', 1)[1]}`" in table, name
