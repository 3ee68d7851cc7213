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
        (["-o", "tokens=7"], "did you mean token?"),
        (["-o", "wood=7"], "expected token"),
        (["-o", "token=x"], "token should be a valid integer"),
    ],
)
def test_what_is_wrong_is_one_line(invoke, model, counting, flags, said):
    ran = invoke("detect", model, TEXT, *counting, *flags)

    assert 2 == ran.exit_code
    assert said in ran.stderr
    assert 1 == len(ran.stderr.splitlines())


def test_lines_and_completions_are_texts_of_their_own(invoke, model, counting, tmp_path):
    lines, result = tmp_path / "lines.txt", tmp_path / "result.json"
    lines.write_text("Once upon\n\na time\n", encoding="utf-8")
    result.write_text(json.dumps({"completions": [{"text": "a cat"}, {"text": ""}]}), "utf-8")

    ran = invoke(
        "detect", model, "-f", str(lines), "-f", str(result), "--lines", *counting, "--json"
    )

    sources = [each["source"] for each in json.loads(ran.stdout)["detections"]]
    assert [f"{lines} 1", f"{lines} 3", f"{result} 1", f"{result} 2"] == sources


def test_settings_may_stand_in_a_file(invoke, model, generator, counting, tmp_path):
    token, other = generator.tokenizer.encode(TEXT)[:2]
    config = tmp_path / "config.json"
    record = {
        "options": {},
        "row_seeds": [1],
        "components": [{"role": "x, detector", "name": "counter", "options": {"token": token}}],
    }
    config.write_text(json.dumps({"record": record, "completions": []}), encoding="utf-8")
    told = [
        json.loads(invoke("detect", model, TEXT, *flags, "--config", str(config), "--json").stdout)
        for flags in (counting, counting[:2], [*counting, "-o", f"token={other}"])
    ]

    counts = [generator.tokenizer.encode(TEXT).count(each) for each in (token, token, other)]
    assert counts == [each["detections"][0]["count"] for each in told]
    assert ["counter"] * 3 == [each["detector"] for each in told]


def test_an_empty_text_has_nothing_in_it(invoke, model, counting):
    ran = invoke("detect", model, "", *counting, "--json")

    assert 0 == json.loads(ran.stdout)["detections"][0]["tokens"]


def test_a_key_that_everybody_knows_is_remarked_on(invoke, model, tmp_path):
    file = tmp_path / "keyed.py"
    file.write_text(COUNTER.replace("token: int", "hashing_key: int = 5\n    token: int"), "utf-8")
    flags = ["--plugin", str(file), "--detector", "counter"]
    known = invoke("detect", model, TEXT, *flags)
    own = invoke("detect", model, TEXT, *flags, "-o", "hashing_key=7")

    expected = "note: the hashing_key is the default, which everybody knows: give your own with "
    assert f"{expected}-o hashing_key=\n" == known.stderr
    assert "" == own.stderr


def test_so_it_is_where_a_text_is_marked(invoke, model, tmp_path):
    file = tmp_path / "keyed.py"
    marking = COUNTER.replace(
        "token: int", "bias: float = 0.0\n    hashing_key: int = 5\n    token: int"
    )
    marking = marking.replace("(Detector)", "(LogitsProcessor, Detector)")
    marking = marking.replace(" Detector, hookimpl", " Detector, LogitsProcessor, hookimpl")
    marking += "\n\nCounter.process = lambda self, logits, rows: logits\n"
    file.write_text(marking, "utf-8")
    flags = ["a", "--plugin", str(file), "-o", "bias=1.0", "--max-new-tokens", "2"]
    known = invoke("generate", model, *flags)
    as_json = invoke("generate", model, *flags, "--json")
    own = invoke("generate", model, *flags, "-o", "hashing_key=7")
    quiet = invoke("generate", model, *flags, "--quiet")

    said = ["give your own with -o hashing_key=\n" in ran.stderr for ran in (known, as_json)]
    assert [True, True] == said
    assert "hashing_key" not in own.stderr
    assert "" == quiet.stderr


def test_a_detector_is_asked_for(invoke, model):
    ran = invoke("detect", model, TEXT)

    assert 2 == ran.exit_code
    assert "which detector?" in ran.stderr
