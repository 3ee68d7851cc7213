"""`gpt2sdk batch` in processes of its own, which are killed, stopped and out of room."""

import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time

import pytest
import typer
from typer.testing import CliRunner

import gpt2sdk_batch
from gpt2sdk import OptionError
from gpt2sdk_batch.batch import journal_of

USUAL = ["-m", "storyteller", "--max-new-tokens", "6", "-o", "top_p=0.9"]


@pytest.fixture(scope="module")
def app():
    app = typer.Typer()
    gpt2sdk_batch.gpt2sdk_cli(app)
    app.command("other")(lambda: None)
    return app


def invoke(app, *arguments):
    return CliRunner().invoke(app, ["batch", *map(str, arguments)])


def begin(source, target, *more, **how):
    command = [sys.executable, "-m", "gpt2sdk", "batch", str(source), str(target), *USUAL, *more]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how
    )


def wait_for(journal, lines, process):
    """Wait until so many lines are in the journal, or the process is over."""
    while process.poll() is None:
        if journal.exists() and journal.read_bytes().count(b"\n") >= lines:
            return
        time.sleep(0.01)


def test_a_file_is_done_and_errors_show_in_the_exit_code(app, write, tmp_path, some_lines):
    good, bad = some_lines(5), [*some_lines(4), {"id": 1, "prompt": "A", "options": {"x": 1}}]

    fine = invoke(app, write(good), tmp_path / "out.jsonl", *USUAL)
    wrong = invoke(app, write(bad, "bad.jsonl"), tmp_path / "bad-out.jsonl", *USUAL)

    assert (0, 3) == (fine.exit_code, wrong.exit_code)
    assert "5 of 5 lines, 1 error" in wrong.stderr
    assert (tmp_path / "out.jsonl").read_text().splitlines()[:4] == (
        (tmp_path / "bad-out.jsonl").read_text().splitlines()[:4]
    )


def test_events_are_lines_of_json(app, write, tmp_path, some_lines):
    ran = invoke(app, write(some_lines(3)), tmp_path / "out.jsonl", *USUAL, "--json")
    events = [json.loads(line) for line in ran.stdout.splitlines()]

    assert ["started", "finished"] == [events[0]["event"], events[-1]["event"]]
    assert (3, 3, 0, 0.0) == tuple(
        events[-1][name] for name in ("lines", "done", "errors", "remaining")
    )


def test_a_batch_that_was_done_before_says_so_again(app, write, tmp_path, some_lines):
    source = write([*some_lines(2), {"id": "bad", "prompt": "A", "options": {"x": 1}}])
    target = tmp_path / "out.jsonl"
    first = invoke(app, source, target, *USUAL)
    again = invoke(app, source, target, *USUAL)

    assert (3, 3) == (first.exit_code, again.exit_code)
    assert "3 of 3 lines, 1 error" in again.stderr


def test_a_preset_and_a_template_are_taken(app, write, tmp_path):
    lines = [{"id": "a", "messages": [{"role": "user", "content": "Hello"}]}]
    (tmp_path / "preset.json").write_text('{"max_new_tokens": 4, "seed": 9, "batch_size": 2}')
    (tmp_path / "chat.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}")
    target = tmp_path / "out.jsonl"
    flags = ["--config", tmp_path / "preset.json", "--chat-template", tmp_path / "chat.jinja"]
    ran = invoke(app, write(lines), target, "-m", "storyteller", *flags)
    (run,) = json.loads((tmp_path / "out.jsonl.run.json").read_text())["runs"].values()

    assert 0 == ran.exit_code, ran.output
    assert 4 == json.loads(target.read_text())["usage"]["new_tokens"]
    assert (9, 4) == (run["seed"], run["options"]["max_new_tokens"])


def test_shards_are_merged(app, write, tmp_path, some_lines):
    source = write(some_lines(7))
    whole, merged = tmp_path / "whole.jsonl", tmp_path / "merged.jsonl.gz"
    parts = [tmp_path / f"part-{number}.jsonl" for number in range(2)]
    invoke(app, source, whole, *USUAL)
    for number, part in enumerate(parts):
        invoke(app, source, part, *USUAL, "--shard", f"{number}/2")
    ran = invoke(app, "merge", merged, *parts)
    again = invoke(app, "merge", merged, *parts)
    back = tmp_path / "back.jsonl"
    invoke(app, "merge", back, *parts)

    assert (0, "7 lines in") == (ran.exit_code, ran.stderr[:10])
    assert 0 != again.exit_code
    assert whole.read_bytes() == back.read_bytes()


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_loses_and_repeats_nothing(
    app, write, tmp_path, some_lines
):
    source = write(some_lines(800))
    whole, target = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    invoke(app, source, whole, *USUAL)
    luck = random.Random(7)  # noqa: S311 - no secret
    kills = 0
    for goal in (30, 70, 130, 190):
        process = begin(source, target)
        wait_for(journal_of(target), goal + luck.randrange(20), process)
        time.sleep(luck.random() / 20)
        kills += process.poll() is None
        process.kill()
        process.communicate()
    with begin(source, target) as process:
        _, said = process.communicate()

    assert (4, 0) == (kills, process.returncode), said
    assert whole.read_bytes() == target.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_with_what_is_whole(app, write, tmp_path, some_lines, number):
    source = write(some_lines(600))
    whole, target = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    invoke(app, source, whole, *USUAL)
    process = begin(source, target)
    wait_for(journal_of(target), 12, process)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    with begin(source, target) as again:
        again.communicate()

    assert 128 + number == process.returncode, said
    assert "of 600 lines" in said
    assert "stopped: the same again goes on" in said
    assert whole.read_bytes() == target.read_bytes()


@pytest.mark.slow
def test_a_run_without_room_says_so_and_goes_on(app, write, tmp_path, some_lines):
    source = write(some_lines(100))
    whole, target = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    invoke(app, source, whole, *USUAL)

    def limited(size):
        return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    size = whole.stat().st_size
    said = []
    # The journal has a few bytes more on each line than the output, and a head.
    for room in (size // 3, size // 2):
        with begin(source, target, preexec_fn=limited(room)) as process:
            said.append((process.communicate()[1], process.returncode))
    with begin(source, target) as process:
        process.communicate()

    assert [2, 2] == [code for _, code in said]
    assert all("File too large; " in text and "are done and kept" in text for text, _ in said)
    assert whole.read_bytes() == target.read_bytes()


def test_a_device_is_not_read_as_a_journal(app, write, tmp_path, some_lines):
    target = tmp_path / "out.jsonl"
    journal_of(target).symlink_to("/dev/full")
    ran = invoke(app, write(some_lines(2)), target, *USUAL)

    assert isinstance(ran.exception, OptionError)
    assert "is a device or a folder" in str(ran.exception)


@pytest.mark.slow
def test_two_runs_on_one_output_are_refused(write, tmp_path, some_lines):
    source, target = write(some_lines(600)), tmp_path / "out.jsonl"
    first = begin(source, target)
    wait_for(journal_of(target), 5, first)
    first.send_signal(signal.SIGSTOP)
    with begin(source, target) as second:
        _, said = second.communicate()
    first.kill()
    first.communicate()

    assert 2 == second.returncode
    assert "another run is at work on it" in said


@pytest.mark.slow
def test_the_slurm_example_does_its_shards(app, write, tmp_path, some_lines, request):
    page = (request.config.rootpath / "docs" / "guides" / "batch.md").read_text()
    (script,) = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    (tmp_path / "array.sh").write_text(script)
    (tmp_path / "gpt2sdk").write_text(f'#!/bin/sh\nexec {sys.executable} -m gpt2sdk "$@"\n')
    (tmp_path / "gpt2sdk").chmod(0o755)
    source = write(some_lines(7))
    subprocess.run(["bash", "-n", "array.sh"], cwd=tmp_path, check=True)
    for number in range(2):
        slurm = {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "MODEL": "storyteller",
            "SLURM_ARRAY_TASK_ID": str(number),
            "SLURM_ARRAY_TASK_COUNT": "2",
        }
        subprocess.run(["bash", "array.sh"], cwd=tmp_path, check=True, env={**os.environ, **slurm})
    parts = sorted((tmp_path / "parts").glob("*.jsonl"))
    merged, whole = tmp_path / "merged.jsonl", tmp_path / "whole.jsonl"
    ran = invoke(app, "merge", merged, *parts)
    invoke(app, source, whole, "-m", "storyteller", "--max-new-tokens", "64")

    assert (0, 2) == (ran.exit_code, len(parts))
    assert whole.read_bytes() == merged.read_bytes()
