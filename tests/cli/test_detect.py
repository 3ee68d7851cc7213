"""`gpt2sdk detect`: marks in texts."""

import json
import math

import pytest

COUNTER = '''
"""A plugin in one file."""

from gpt2sdk import Detection, Detector, hookimpl


class Counter(Detector):
    """Counts a token."""

    token: int = 0

    def detect(self, tokens, start=0):
        count = list(tokens[start:]).count(self.token)
        return Detection(-float(count), float(count), 0.0, 1.0, count, len(tokens) - start)


@hookimpl
def gpt2sdk_components():
    return (Counter,)
'''
TEXT = "Once upon a time the cat ran"


@pytest.fixture
def counting(tmp_path):
    """Return the flags that name a detector of a plugin file."""
    file = tmp_path / "counter.py"
    file.write_text(COUNTER, encoding="utf-8")
    return ["--plugin", str(file), "--detector", "counter"]


def test_a_text_is_judged_as_the_library_does(invoke, model, generator, counting):
    tokens = generator.tokenizer.encode(TEXT)

    ran = invoke("detect", model, TEXT, *counting, "-o", f"token={tokens[0]}", "--json")

    assert (0, "") == (ran.exit_code, ran.stderr)
    (told,) = json.loads(ran.stdout)["detections"]
    count = tokens.count(tokens[0])
    assert (count, len(tokens), "argument") == (told["count"], told["tokens"], told["source"])
    assert math.exp(-count) == told["p_value"]


def test_files_are_judged_one_by_one_behind_the_prompt(
    invoke, model, generator, counting, tmp_path
):
    paths = [tmp_path / "one.txt", tmp_path / "other.txt"]
    for path, text in zip(paths, (TEXT, "the end"), strict=True):
        path.write_text(text, encoding="utf-8")

    ran = invoke("detect", model, "-f", str(paths[0]), "-f", str(paths[1]), *counting)
    behind = invoke("detect", model, "the end", *counting, "--prompt", TEXT)

    lengths = [len(generator.tokenizer.encode(text)) for text in (TEXT, "the end")]
    lines = ran.stdout.splitlines()[1:]
    assert lengths == [int(line.split()[-4]) for line in lines]
    assert lengths[1] == int(behind.stdout.splitlines()[1].split()[-4])


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--detector", "nobody"], "there is no detector 'nobody'"),
        (["-o", "tokens=7"], "expected token"),
        (["-o", "token=x"], "token should be a valid integer"),
    ],
)
def test_what_is_wrong_is_one_line(invoke, model, counting, flags, said):
    ran = invoke("detect", model, TEXT, *counting, *flags)

    assert 2 == ran.exit_code
    assert said in ran.stderr
    assert 1 == len(ran.stderr.splitlines())
