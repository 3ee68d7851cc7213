"""Processes: what they are told and say is of any size, and comes at any time."""

from contextlib import closing
from multiprocessing import Pipe

import pytest

from gpt2sdk_batch import processes
from gpt2sdk_batch.process_crew import _Inbox
from gpt2sdk_batch.run_settings import read_settings
from gpt2sdk_batch.tasks import LineTask

BIG = 1_000_000
"""More than a pipe holds."""


@pytest.mark.timeout(30)
def test_lines_are_taken_in_while_a_process_is_at_work():
    here, there = Pipe()
    inbox = _Inbox(there)
    for index in range(3):
        # It returns although nobody asks for a line.
        here.send(("do", [LineTask(index, index, "x" * BIG)]))
    here.send(("stop", None))

    assert [0, 1, 2] == [next(inbox).index for _ in range(3)]
    assert inbox.look()


@pytest.mark.timeout(30)
def test_a_process_that_nobody_listens_to_ends():
    here, there = Pipe()
    inbox = _Inbox(there)
    here.close()

    with pytest.raises(EOFError):
        inbox.look()


@pytest.mark.slow
@pytest.mark.timeout(100)
def test_lines_and_results_larger_than_a_pipe_pass_each_other():
    # A line's own options are in its result, too.
    lines = [
        LineTask(index, index, "Once", options={"stop": ["x" * (BIG // 8)] * 8})
        for index in range(12)
    ]
    crew = processes("storyteller", 1)(read_settings({"max_new_tokens": 4, "batch_size": 1}, None))

    def tasks():
        for line in lines:
            if line.index == 8:
                # The process is sending a result when it is sent the next lines.
                crew._mates[0].pipe.poll(None)  # noqa: SLF001 - to wait for that
            yield line

    with closing(crew):
        answers = [answer for some in crew.run(tasks()) for answer in some]

    assert list(range(12)) == sorted(answer.index for answer in answers)
    assert all(len(answer.text) > BIG and not answer.wrong for answer in answers)
