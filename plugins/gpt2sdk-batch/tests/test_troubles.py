"""Timeouts and too little memory: a line's error, unless it goes well once more."""

import errno
import json

from gpt2sdk import Generator, LogitsProcessor, hookimpl
from gpt2sdk_batch import run

USUAL = {"max_new_tokens": 8, "top_p": 0.9}

SHORT = [2, 1]
"""How often there is too little memory for a third."""


class Troubled(LogitsProcessor):
    """Raises what machines raise: 1 for a timeout, 2 for too little memory, 3 for that twice."""

    trouble: int = 0

    def process(self, logits, rows):
        if self.trouble == 1:
            raise TimeoutError("the source of words is slow")
        if self.trouble == 2:
            raise MemoryError("a table of words is too large")
        if self.trouble == 3 and SHORT:
            SHORT.pop()
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        return logits


class Troubles:
    """Offers it."""

    @hookimpl
    def gpt2sdk_components(self):
        return [Troubled]


def test_what_a_component_says_of_the_machine_is_its_own_lines_error(
    gen, write, tmp_path, some_lines
):
    lines = some_lines(20)
    run(gen, write(lines), tmp_path / "whole.jsonl", **USUAL)
    for at, trouble in ((9, 1), (10, 2), (11, 3)):
        lines[at]["options"] = {"trouble": trouble}
    own = Generator.from_pretrained("storyteller", plugins=[Troubles()])
    made = run(own, write(lines), tmp_path / "out.jsonl", **USUAL)
    before, after = (
        [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
        for name in ("whole.jsonl", "out.jsonl")
    )

    assert ((20, 2), []) == ((made.done, made.errors), SHORT)
    assert "the source of words is slow" in after[9]["error"]["message"]
    assert "a table of words is too large" in after[10]["error"]["message"]
    assert [line["text"] for n, line in enumerate(before) if n not in (9, 10)] == [
        line["text"] for n, line in enumerate(after) if n not in (9, 10)
    ]
