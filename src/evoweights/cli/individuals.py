"""The commands that use an individual of a run."""

from pathlib import Path
from typing import Annotated

import typer

from evoweights.cli.loading import load_torch
from evoweights.cli.options import AllowEnv, Expert, RunFolder
from evoweights.cli.output import mention, say
from evoweights.cli.places import where_it_was_started
from evoweights.errors import UsageError


def export(
    run: RunFolder,
    to: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder to write; by default RUN/export/EXPERT.")
    ] = None,
    expert: Expert = "best",
    allow_env: AllowEnv = None,
) -> None:
    """Save an individual for other programs.

    The format is that of its task: a language model becomes a Hugging Face folder. It is opened again and compared.
    """
    load_torch()
    from evoweights.runs.individuals import export_individual, open_individual

    folder = (to or run / "export" / expert).absolute()
    run = run.absolute()
    with where_it_was_started(run):
        opened = open_individual(run, expert, allow_env=allow_env or [])
        line = export_individual(opened.task, opened.module, folder)
    say(opened.label)
    say(line)


def generate(
    run: RunFolder,
    prompt: Annotated[str, typer.Option("--prompt", "-p", help="Text to continue; empty to start a document.")] = "",
    tokens: Annotated[int, typer.Option(min=1, help="Most tokens to add.")] = 64,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 always takes the likeliest token.")] = 0.8,
    seed: Annotated[
        int, typer.Option(min=0, max=2**64 - 1, help="The text is a function of weights, prompt and seed.")
    ] = 0,
    expert: Expert = "best",
    allow_env: AllowEnv = None,
) -> None:
    """Continue a text with an individual of a run."""
    load_torch()
    from evoweights.contract import calling
    from evoweights.runs.individuals import open_individual

    try:
        prompt.encode()
    except UnicodeEncodeError as error:
        raise UsageError("--prompt: found bytes that are no UTF-8 text. Give the prompt as UTF-8.") from error
    run = run.absolute()
    with where_it_was_started(run):
        opened = open_individual(run, expert, allow_env=allow_env or [])
        mention(opened.label, err=True)
        with calling(f"{type(opened.task).__name__}: generate"):
            text = opened.task.generate(opened.module, prompt, tokens=tokens, temperature=temperature, seed=seed)
        say(text)
