import dataclasses
import math
import re
import sys

import pluggy
import pytest

from evoweights import hookspecs
from evoweights.errors import RunStopped
from evoweights.ledger.credit import credit_of
from evoweights_monitor.console import ConsoleProgress
from evoweights_monitor.formats import flops_text
from evoweights_monitor.panel import SHOWN, panel, shown_rows
from evoweights_monitor.progress import Progress
from evoweights_monitor.screen import Screen

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def lines_of(screen_text):
    return [line for line in CONTROL.sub("", screen_text).splitlines() if line.strip()]


def play(screen, make_generation, size, generations=2, **record):
    screen.start()
    for generation in range(generations):
        for step in range(1, 4):
            screen.stepped(generation, generation % size, generation * 50 + step, 5.0)
        screen.generation(make_generation(generation, size, **record))
        screen.checkpoint()


def test_off_a_terminal_each_generation_is_one_plain_line(make_info, make_generation, make_console, text_of):
    console = make_console(terminal=False, width=60)
    screen = Screen(make_info(), console, quiet=False)
    play(screen, make_generation, 3, generations=3)
    text = text_of(console)
    assert "\x1b" not in text
    lines = [line for line in text.splitlines() if line.startswith("generation")]
    assert len(lines) == 3
    assert lines[1].startswith(
        "generation 1 (2/40): expert 1, train loss 5.0000, best validation loss 4.0000 (expert 0), "
        "distance 0.0123, 25,600 tokens/s, "
    )
    assert re.search(r"\d+:\d\d elapsed, \d+:\d\d left$", lines[1])
    assert text.count("lower is better for every loss; to compare: unigram entropy 5.4300\n") == 1


def test_the_start_says_what_runs_and_where(make_info, make_console, text_of):
    console = make_console(terminal=False)
    info = make_info(first=7)
    Screen(info, console, quiet=False).start()
    text = text_of(console)
    for fact in ("40 generations of 3 experts", "2,000 steps of 2,048 tokens", "seed 42", "1,234,567 genes each"):
        assert fact in text
    for fact in ("456,789 shared", "device cpu", "operators on cpu", str(info.folder), "unigram entropy 5.4300"):
        assert fact in text
    assert "continues after 7 of 40 generations" in text


@pytest.mark.parametrize("terminal", [False, True])
def test_a_run_is_told_in_the_words_of_its_population_and_its_task(
    terminal, make_info, make_generation, make_result, make_console, text_of
):
    console = make_console(terminal=terminal, width=120)
    screen = Screen(make_info(individual="particle", unit="images"), console, quiet=False)
    play(screen, make_generation, 3, failed=(1,))
    screen.finish(make_result())
    text = text_of(console)
    assert "expert" not in text and "token" not in text
    assert "particle 1 failed" in text and "images/s" in text and "images in" in text


@pytest.mark.parametrize("terminal", [False, True])
def test_a_run_without_training_steps_counts_its_evaluations_and_speaks_of_no_training(
    terminal, make_info, make_generation, make_result, make_console, text_of
):
    console = make_console(terminal=terminal, width=120)
    info = make_info(individual="particle", total_steps=0)
    screen = Screen(info, console, quiet=False)
    screen.start()
    screen.generation(dataclasses.replace(make_generation(0), improved=()))
    console.print(panel(screen.progress, now=screen.progress.started))
    screen.finish(dataclasses.replace(make_result(evaluations=7446), tokens=0, tokens_per_second=0.0))
    text = CONTROL.sub("", text_of(console)).replace(str(info.folder), "")
    assert "7,446 evaluations in 1:02:03 (2.0 a second), peak memory 2.00 GiB" in text
    assert "token" not in text and "train" not in text and "no particle" not in text and "/s" not in text
    if not terminal:
        assert "generation 0 (1/40): best validation loss 4.0000 (particle 0), distance 0.0123, " in text


def test_the_best_of_a_run_may_be_where_it_started(make_info, make_result, make_console, text_of):
    console = make_console(terminal=False)
    result = dataclasses.replace(make_result(), best_generation=-1)
    Screen(make_info(), console, quiet=False).finish(result)
    assert "best of the run: expert 0, validation loss 4.0000, at the start (lower is better)" in text_of(console)


@pytest.mark.parametrize("size", [1, 3, 16, 100])
@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_panel_fits_the_width_and_stars_the_best(size, width, make_info, make_generation, make_console, text_of):
    progress = Progress(make_info(size), started=0.0)
    progress.finished(make_generation(11, size))
    progress.stepped(12, 12 % size, 601, 5.25, now=1.0)
    before = make_console(terminal=True, width=width)
    before.print(panel(progress, now=64.0))
    assert " left, checkpoint none yet" in text_of(before)
    progress.checkpoint_at = 2.0
    console = make_console(terminal=True, width=width)
    console.print(panel(progress, now=64.0))
    lines = lines_of(text_of(console))
    assert {len(line) for line in lines} == {width}
    text = "\n".join(lines)
    assert f"generation 12 (13/40), expert {12 % size}, step 601 of 2,000" in text
    assert " left, checkpoint 1:02 ago" in text
    assert len(re.findall(r"\*\s*0 4\.0000", text)) == 1
    assert "(5.2500)" in text
    if size > 1:
        assert "generation 11: pso + crossover wrote" in text


def test_a_large_population_shows_those_with_the_lowest_loss(make_info, make_generation):
    progress = Progress(make_info(100), started=0.0)
    losses = tuple(None if row < 10 else math.nan if row < 20 else 200.0 - row for row in range(100))
    progress.finished(make_generation(0, 100, fitness=losses))
    assert shown_rows(progress) == [0, *range(100 - SHOWN + 1, 100)]


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("size", [1, 16])
@pytest.mark.parametrize("quiet", [False, True])
def test_unknown_fitness_and_nan_losses_are_shown_as_such(
    terminal, size, quiet, make_info, make_generation, make_result, make_console, text_of
):
    console = make_console(terminal=terminal)
    screen = Screen(make_info(size), console, quiet=quiet)
    play(screen, make_generation, size, train=math.nan, fitness=(None,) * size)
    if not quiet and not terminal:
        assert "train loss nan, best validation loss -, " in text_of(console)
    screen.finish(make_result(size, end=math.nan))
    assert "nan" in text_of(console)


def test_the_end_shows_every_expert_the_cost_the_sample_and_what_is_next(
    make_info, make_generation, make_result, make_console, text_of
):
    console = make_console(terminal=False)
    info = make_info(16)
    (info.folder / "tb").mkdir(parents=True)
    screen = Screen(info, console, quiet=False)
    play(screen, make_generation, 16)
    screen.finish(make_result(16, sample="He [bold]said[/bold] \x1b[2J so"))
    lines = [line.strip() for line in text_of(console).splitlines()]
    rows = [line.split() for line in lines if re.match(r"\*?\d+ +6\.0000", line)]
    assert rows[0] == ["*0", "6.0000", "4.0000", "-2.0000", "13"]
    assert [row[0].strip("*") for row in rows] == [str(row) for row in range(16)]
    assert "best of the run: expert 0, validation loss 4.0000, in generation 37 (lower is better)" in lines
    assert "to compare: unigram entropy 5.4300" in lines
    assert "4,096,000 tokens in 1:02:03 (1,100 tokens/s while training), peak memory 2.00 GiB" in lines
    assert "He [bold]said[/bold] ?[2J so" in lines
    assert lines[-4:] == [
        f"evoweights generate {info.folder}",
        f"evoweights export {info.folder}",
        f"evoweights report {info.folder}",
        f"tensorboard --logdir {info.folder / 'tb'}",
    ]


def test_commands_that_have_nothing_to_work_on_are_not_offered(make_info, make_result, make_console, text_of):
    console = make_console(terminal=False)
    Screen(make_info(), console, quiet=False).finish(make_result(sample=None))
    assert "evoweights verify" in text_of(console)
    assert "evoweights export" not in text_of(console)
    assert "evoweights generate" not in text_of(console)
    assert "tensorboard" not in text_of(console)


def test_quiet_shows_only_warnings_and_the_end(make_info, make_generation, make_result, make_console, text_of):
    console = make_console(terminal=True)
    info = make_info()
    screen = Screen(info, console, quiet=True)
    play(screen, make_generation, 3)
    assert text_of(console) == ""
    screen.generation(make_generation(2, failed=(1,)))
    screen.finish(make_result())
    warning, end = lines_of(text_of(console))[:1], lines_of(text_of(console))[-1]
    assert warning[0].startswith("warning: generation 2: expert 1 failed")
    assert end == f"demo finished; best of the run: expert 0, validation loss 4.0000, in {info.folder / 'best'}"


@pytest.mark.parametrize("terminal", [False, True])
def test_a_turn_that_ended_early_and_a_failure_are_warned_of_once(
    terminal, make_info, make_generation, make_console, text_of
):
    console = make_console(terminal=terminal, width=120)
    screen = Screen(make_info(), console, quiet=False)
    screen.start()
    turn = make_generation(0).improved[0]
    screen.improved(turn)
    screen.improved(type(turn)(**{**vars(turn), "stopped": "the loss is NaN"}))
    for generation in range(3):
        screen.generation(make_generation(generation, failed=(2,)))
    screen.stop()
    text = CONTROL.sub("", text_of(console))
    assert text.count("warning:") == 2
    assert "generation 0: the turn of expert 0 ended early, after 50 steps: the loss is NaN" in text
    assert text.count("expert 2 failed") == 1
    why = "(a loss that is NaN or infinite, or three turns in a row that ended early) and cannot lead until rewritten"
    assert f"{why}. Just before, pso + crossover rewrote what failed" in " ".join(text.split())


def test_operators_are_not_suspected_of_what_they_did_not_rewrite(make_info, make_generation, make_console, text_of):
    console = make_console(terminal=False)
    Screen(make_info(), console, quiet=True).generation(make_generation(1, failed=(1,)))
    assert "expert 1 failed" in text_of(console) and "Just before" not in text_of(console)


def test_an_expert_that_fails_again_after_recovery_is_warned_of_again(
    make_info, make_generation, make_console, text_of
):
    console = make_console(terminal=False)
    screen = Screen(make_info(), console, quiet=True)
    for generation, failed in enumerate([(1,), (), (1,)]):
        screen.generation(make_generation(generation, failed=failed))
    assert text_of(console).count("expert 1 failed") == 2


@pytest.mark.parametrize("terminal", [False, True])
def test_a_stopped_run_says_in_one_line_how_far_it_came_and_leaves_the_rest_to_the_error(
    terminal, make_info, make_generation, make_console, text_of
):
    console = make_console(terminal=terminal)
    info = make_info()
    screen = Screen(info, console, quiet=False)
    play(screen, make_generation, 3)
    before = len(text_of(console))
    screen.fail(RunStopped("asked to stop", exit_code=130))
    said = lines_of(text_of(console)[before:])[-1]
    assert said == "demo stopped after 2 of 40 generations"


def test_an_error_is_left_to_the_command_line_to_explain(make_info, make_console, text_of):
    console = make_console(terminal=False)
    Screen(make_info(), console, quiet=False).fail(ValueError("a long story"))
    assert text_of(console) == "demo failed after 0 of 40 generations: ValueError\n"


def test_the_terminal_has_its_cursor_and_streams_back_after_a_failure(
    make_info, make_generation, make_console, text_of
):
    streams = sys.stdout, sys.stderr
    console = make_console(terminal=True)
    screen = Screen(make_info(), console, quiet=False)
    play(screen, make_generation, 3)
    screen.fail(KeyboardInterrupt())
    assert (sys.stdout, sys.stderr) == streams
    text = text_of(console)
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_the_component_receives_a_run_through_pluggy(make_info, make_generation, make_result, capsys):
    manager = pluggy.PluginManager("evoweights")
    manager.add_hookspecs(hookspecs)
    observer = ConsoleProgress()
    manager.register(observer)
    manager.check_pending()
    info, record = make_info(), make_generation(0)
    manager.hook.step_finished(info=info, generation=0, row=0, step=1, loss=5.0)
    manager.hook.run_failed(info=info, error=ValueError("before the start"))
    assert capsys.readouterr().out == ""
    manager.hook.run_started(info=info)
    manager.hook.step_finished(info=info, generation=0, row=0, step=1, loss=5.0)
    manager.hook.individual_improved(info=info, record=record.improved[0])
    manager.hook.generation_finished(info=info, record=record)
    manager.hook.checkpoint_saved(info=info, generation=0, folder="checkpoints/step-000000050")
    manager.hook.run_finished(info=info, result=make_result())
    out = capsys.readouterr().out
    assert "generation 0 (1/40)" in out
    assert "demo finished." in out
    assert observer == ConsoleProgress()


def test_the_end_says_what_was_computed_and_moved_as_far_as_it_is_known(make_info, make_result, make_console, text_of):
    ledger = {"flops": 3_456_000_000_000, "evaluation_flops": 999_600, "bytes_moved": 2**31, "joules": 360_000.0}
    for unknown, missing in ((None, ""), ("joules", "Wh"), ("flops", "TFLOP"), ("bytes_moved", "moved")):
        console = make_console(terminal=False, width=200)
        values = {name: None if name == unknown else value for name, value in ledger.items()}
        Screen(make_info(), console, quiet=False).finish(dataclasses.replace(make_result(), ledger=values))
        text = text_of(console)
        facts = {
            "TFLOP": "3.46 TFLOP of training",
            "MFLOP": "1 MFLOP of measuring",
            "moved": "2.00 GiB moved between individuals' homes and the live model",
            "Wh": "100.0 Wh",
        }
        for name, fact in facts.items():
            assert (fact in text) == (name != missing)
    console = make_console(terminal=False)
    Screen(make_info(), console, quiet=False).finish(make_result())
    assert "FLOP" not in text_of(console)


def test_the_end_says_of_each_operator_whether_it_helps(make_info, make_result, make_console, text_of):
    changes = {
        "0-pso": [0.5, 0.6, 0.55],
        "1-crossover": [-0.5, -0.6, -0.55],
        "2-mutation": [0.1, -0.1],
        "3-mix": [0.25],
    }
    lines = [{"operators": [label], "losses": [1.0, 1.0 + each]} for label, some in changes.items() for each in some]
    result = dataclasses.replace(make_result(), credit=credit_of(lines))
    console = make_console(terminal=False, width=80)
    Screen(make_info(), console, quiet=False).finish(result)
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in lines_of(text_of(console)) if "-" in line[:6]}
    assert rows["0-pso"] == "3 +0.5500 +- 0.1242 0.0500 hurts"
    assert rows["1-crossover"] == "3 -0.5500 +- 0.1242 0.0500 helps"
    assert rows["2-mutation"].endswith("0.1414 no difference seen")
    assert rows["3-mix"] == "1 +0.2500 - applied once"
    console = make_console(terminal=False)
    Screen(make_info(), console, quiet=False).finish(make_result())
    assert "operator" not in text_of(console)


def test_no_table_is_cut_where_there_is_no_terminal(make_info, make_result, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    label = f"0-{'long' * 60}"
    lines = [{"operators": [label], "losses": [1.0, 1.5 + each]} for each in (0.0, 0.1)]
    observer = ConsoleProgress()
    observer.run_started(make_info(individual="individual" * 20))
    observer.run_finished(dataclasses.replace(make_result(), credit=credit_of(lines)))
    shown = capsys.readouterr().out
    (row,) = [line.split() for line in shown.splitlines() if label in line]
    assert row[1:3] == ["2", "+0.5500"] and row[-2:] == ["difference", "seen"]
    (heading,) = [line for line in shown.splitlines() if line.split()[-1:] == ["turns"]]
    assert heading.split()[0] == "individual" * 20 and "\N{HORIZONTAL ELLIPSIS}" not in shown


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 FLOP"),
        (999, "999 FLOP"),
        (1000, "1 kFLOP"),
        (999_499, "999 kFLOP"),
        (999_500, "1 MFLOP"),
        (10**25, "1e+07 EFLOP"),
    ],
)
def test_flops_have_one_to_three_digits_before_the_point(count, text):
    assert flops_text(count) == text
