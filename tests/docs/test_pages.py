"""What the pages of the documentation show is what happens: every block is run or checked, page by page."""

import re
from pathlib import Path

import pytest
from page_blocks import ROOT, blocks_of, pages
from page_runner import PageRun, do_page, start_server

PAGES = [page.relative_to(ROOT).as_posix() for page in pages()]
WITH_BLOCKS = [name for name in PAGES if blocks_of((ROOT / name).read_text(encoding="utf-8"))]


@pytest.fixture(scope="session")
def server() -> None:
    start_server()


@pytest.mark.slow
@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("name", WITH_BLOCKS)
def test_what_a_page_says_happens(name: str, tmp_path: Path) -> None:
    do_page(ROOT / name, tmp_path)


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_to_files_of_the_repository(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    plain = re.sub(r"^(`{3,}).*?^\1", "", text, flags=re.MULTILINE | re.DOTALL)
    links = [each.split("#")[0] for each in re.findall(r"\]\(([^)\s]+)\)", plain)]
    local = [each for each in links if each and not re.match(r"https?:", each)]
    assert [each for each in local if not ((ROOT / name).parent / each).exists()] == []


def done(text: str, folder: Path) -> PageRun:
    """A page of this text, done."""
    place, scratch = folder / "page", folder / "scratch"
    place.mkdir()
    scratch.mkdir()
    run = PageRun("a page", place, scratch)
    run.do(text)
    return run


GOOD = """
```python title="sub/one.py"
VALUE = 7
```

```python
from sub.one import VALUE
```

1. a list

    ```console
    $ python -c "print('it is', 6 * 7); print('and more'); print(1.25)"
    it is 42
    ...
    $ cat sub/one.py && echo $((1 + 2))
    VALUE = ...
    3
    ```

```python
assert VALUE == 7
```

<!-- exit 2 -->
```console
$ evoweights status nowhere
error: ...nowhere...
```

<!-- shortened: ignored=1 -->
```console
$ python -c "print('loss    1.5e-3 of *12')"
loss 2.75 of 3
```

<!-- not run: takes too long -->
```console
$ make run
$ evoweights run one.yaml --fresh
```

```text
a -> b
```

```yaml title="one.yaml"
name: one
```

```yaml
vary:
  - {name: pso, social: 1.0}
```
"""

BAD = {
    "```python\nassert False\n```": "AssertionError",
    "```console\n$ false\n```": "ended with 1",
    "```console\n$ python -c 'import sys; sys.exit(3)'\n```": "ended with 3",
    "```console\n$ echo one\ntwo\n```": "was to print",
    "```console\n$ python -c \"print('12 of 13')\"\n12 of 14\n```": "was to print",
    "```console\n$ echo one; echo three; echo two\none\ntwo\n```": "was to print",
    "<!-- exit 2 -->\n```console\n$ true\n```": "ended with 0",
    "<!-- not run: long -->\n```console\n$ make coffee\n```": "the Makefile has",
    "<!-- not run: long -->\n```console\n$ evoweights run x.yaml --frsh\n```": "no command line",
    "<!-- not run: long -->\n```console\n$ evoweights run x.yaml\n```": "there is no x.yaml",
    "<!-- not run: long -->\n```console\n$ evoweights plugins polish x\n```": "there is no command polish",
    "```text\n$ evoweights run x.yaml\n```": "a command in a block that is not run",
    "```yaml\nvary:\n  - {name: pso, sociall: 1.0}\n```": "no valid part",
    "```toml\n[a\n```": "line 1",
    "```json\n{\n```": "line 1",
    "```bash\nls\n```": "a block of bash",
    "```\nls\n```": "a block of no language",
    "    evoweights run x.yaml\n": "a block of indented",
    '```python title="../x.py"\n```': "outside its folder",
    "```console\n$ pip install ./nothing\n```": "no such folder",
    "```console\n$ pip install evoweights[wings]\n```": "no such folder or extra",
}


@pytest.mark.usefixtures("server")
def test_a_page_that_is_right_passes(tmp_path: Path) -> None:
    text = GOOD.replace('```yaml title="one.yaml"\nname: one\n```', "")
    run = done('```yaml title="one.yaml"\nname: one\n```\n' + text, tmp_path)
    assert (run.folder / "sub" / "one.py").read_text() == "VALUE = 7\n"


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("text", BAD)
def test_a_page_that_is_wrong_fails_with_its_line(text: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="a page, line ") as caught:
        done(text, tmp_path)
    assert BAD[text] in str(caught.value)


def test_a_note_before_a_block_that_says_nothing_is_an_error() -> None:
    block = "```console\n$ true\n```\n"
    with pytest.raises(ValueError, match="says nothing to the tests"):
        blocks_of(f"<!-- exitt 2 -->\n{block}")
    assert len(blocks_of(f"<!-- a word to who writes here -->\n\nText.\n\n{block}")) == 1


@pytest.mark.usefixtures("server")
def test_processes_of_pages_begin_with_what_they_have_in_common(tmp_path: Path) -> None:
    shown = "import sys; print('page_preload' in sys.modules, 'page_blocks' in sys.modules)"
    done(f'```console\n$ python -c "{shown}"\nTrue False\n```\n', tmp_path)
