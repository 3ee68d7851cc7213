"""`gpt2sdk score`: what texts cost."""

import json

import pytest

TEXT = "Once upon a time the cat ran"


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / "one.txt", tmp_path / "other.txt"]
    paths[0].write_text(TEXT + "\n", encoding="utf-8")
    paths[1].write_text("the end", encoding="utf-8")
    return [str(path) for path in paths]


def rows(printed):
    """Return the cells of each printed line, by the first one."""
    lines = [[cell for cell in line.split("  ") if cell] for line in printed.splitlines()]
    return {line[0].strip(): [cell.strip() for cell in line[1:]] for line in lines if line}


def test_a_text_is_scored_as_the_library_does(invoke, model, generator):
    score = generator.score(TEXT)

    ran = invoke("score", model, TEXT)

    assert (0, "") == (ran.exit_code, ran.stderr)
    cells = [str(score.token_count), "28", f"{score.bits_per_byte:.4f}", f"{score.perplexity:,.2f}"]
    assert cells == rows(ran.stdout)[repr(TEXT)]


def test_files_are_scored_one_by_one_and_together(invoke, model, generator, files):
    scores = generator.score([TEXT, "the end"])
    total = sum(score.bits for score in scores) / sum(score.nbytes for score in scores)

    printed = rows(invoke("score", model, "--file", files[0], "-f", files[1]).stdout)

    assert [*files, "total"] == list(printed)[1:]
    assert [f"{score.bits_per_byte:.4f}" for score in scores] == [printed[n][2] for n in files]
    assert f"{total:.4f}" == printed["total"][2]


def test_standard_input_is_a_text(invoke, model):
    expected = rows(invoke("score", model, TEXT).stdout)[repr(TEXT)]

    for dash in ((), ("-",), ("--file", "-")):
        ran = invoke("score", model, *dash, stdin=TEXT + "\n")
        assert expected == rows(ran.stdout)["standard input"]


def test_tokens_are_listed(invoke, model, generator):
    score = generator.score("the end", window=2, stride=1)

    printed = invoke("score", model, "the end", "--tokens", "--window", "2", "--stride", "1").stdout

    listed = [line.split() for line in printed.splitlines()[-score.token_count :]]
    assert [str(token) for token in score.tokens] == [line[0] for line in listed]
    assert [f"{logprob:.4f}" for logprob in score.logprobs] == [line[-1] for line in listed]


def test_json_holds_the_numbers(invoke, model, generator, files):
    score = generator.score(TEXT, bos=False)

    ran = invoke("score", model, "--file", files[0], "--no-bos", "--tokens", "--json")
    record = json.loads(ran.stdout)

    (found,) = record["scores"]
    assert found["logprobs"] == [
        {"token": token, "text": text, "logprob": logprob}
        for token, text, logprob in zip(score.tokens, score.texts, score.logprobs, strict=True)
    ]
    assert (found["tokens"], found["bytes"]) == (score.token_count, score.nbytes)
    assert (found["nats"], found["bits"]) == (score.nats, score.bits)
    assert (found["bits_per_byte"], found["perplexity"]) == (score.bits_per_byte, score.perplexity)
    assert (found["context"], found["source"]) == (list(score.context), files[0])
    assert record["model"] == model


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"\xffx", "is not UTF-8 text: byte 0xff at 0"), (b"", "is empty"), (b"\n", "is empty")],
)
def test_a_file_that_holds_no_text_is_an_error(invoke, model, tmp_path, content, message):
    file = tmp_path / "x.txt"
    file.write_bytes(content)

    ran = invoke("score", model, "--file", str(file))

    assert (2, "") == (ran.exit_code, ran.stdout)
    assert ran.stderr.startswith(f"error: {file} {message}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("Once", "--file", "x.txt"), "a text was given as an argument and with --file"),
        (("--file", "nowhere.txt"), "nowhere.txt: No such file or directory"),
        (("",), "the text is empty: expected text to score"),
        (("Once", "--window", "1"), "window is 2 to 256 tokens, the model's context; got 1"),
        (("Once", "--no-bos"), "text 0 is one token with nothing before it"),
    ],
)
def test_wrong_use_is_said(invoke, model, arguments, message):
    ran = invoke("score", model, *arguments)

    assert (2, "") == (ran.exit_code, ran.stdout)
    assert message in ran.stderr
