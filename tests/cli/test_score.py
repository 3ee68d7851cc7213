"""`gpt2sdk score`: what texts cost."""

import json
import shutil

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


def test_separators_within_a_text_are_end_tokens(invoke, model, generator, tmp_path):
    file = tmp_path / "tales.txt"
    file.write_text("Once<|endoftext|>the end\n<|endoftext|>\n", encoding="utf-8")
    parts = [generator.tokenizer.encode(text) for text in ("Once", "the end")]
    tokens = [*parts[0], generator.tokenizer.eos_token_id, *parts[1]]
    score = generator.score(tokens)

    printed = rows(invoke("score", model, "--file", str(file)).stdout)[str(file)]

    assert [str(len(tokens)), "11", f"{score.bits_per_byte:.4f}"] == printed[:3]


def test_documents_may_be_separated_within_a_line(invoke, model, generator):
    scores = generator.score(["Once", "the end"])

    text = "Once<|endoftext|>the end<|endoftext|>"
    printed = rows(invoke("score", model, "--documents", "-", stdin=text).stdout)

    names = [f"standard input {number}" for number in (1, 2)]
    assert [f"{score.bits_per_byte:.4f}" for score in scores] == [printed[n][2] for n in names]


def test_the_models_own_end_token_separates_too(invoke, model, tmp_path):
    folder = copied(model, tmp_path / "own", "<stop>")
    file = tmp_path / "tales.txt"
    file.write_text("Once<stop>the end", encoding="utf-8")
    expected = invoke("score", folder, "Once<|endoftext|>the end", "--json").stdout

    scores = json.loads(invoke("score", folder, "--file", str(file), "--json").stdout)["scores"]

    assert json.loads(expected)["scores"][0] | {"source": str(file)} == scores[0]


def test_a_separator_that_the_model_has_no_token_for_is_an_error(invoke, model, tmp_path):
    folder = copied(model, tmp_path / "endless", None)
    file = tmp_path / "tales.txt"
    file.write_text("Once\nupon<|endoftext|>the end", encoding="utf-8")

    ran = invoke("score", folder, "--file", str(file))

    assert ran.exit_code != 0
    assert f"{file}, line 2: <|endoftext|> ends a document" in " ".join(ran.stderr.split())


def copied(model, folder, end):
    """Copy a model, with another end token, or without any."""
    shutil.copytree(model, folder)
    (folder / "generation_config.json").unlink()
    names = {"eos_token": None} if end is None else dict.fromkeys(("eos_token", "bos_token"), end)
    for name, values in (("config.json", {"eos_token_id": None}), ("tokenizer_config.json", names)):
        written = json.loads((folder / name).read_text(encoding="utf-8")) | values
        (folder / name).write_text(json.dumps(written), encoding="utf-8")
    for name in ("tokenizer.json", "tokenizer_config.json") if end else ():
        text = (folder / name).read_text(encoding="utf-8")
        (folder / name).write_text(text.replace("<|endoftext|>", end), encoding="utf-8")
    return str(folder)


def test_a_context_stands_before_each_text_and_is_not_scored(invoke, model, generator, files):
    scores = generator.score([TEXT, "the end"], context="the cat ")

    printed = json.loads(
        invoke(
            "score", model, "-f", files[0], "-f", files[1], "--context", "the cat ", "--json"
        ).stdout
    )["scores"]

    assert [each.bits for each in scores] == pytest.approx([each["bits"] for each in printed])
    assert [list(each.context) for each in scores] == [each["context"] for each in printed]
    assert scores[0].bits != generator.score(TEXT).bits


def test_behind_a_context_the_first_token_is_scored_without_a_bos_token(invoke, model):
    ran = invoke("score", model, "e", "--no-bos", "--context", "th", "--tokens")

    assert (0, "") == (ran.exit_code, ran.stderr)
    assert "'e'" in ran.stdout
