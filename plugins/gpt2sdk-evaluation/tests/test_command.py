"""`gpt2sdk measure`, as it is typed."""

import json

import pytest
from typer import Typer
from typer.testing import CliRunner

import gpt2sdk_evaluation
from gpt2sdk import OptionError
from gpt2sdk_evaluation import measure, read_generations

TEXTS = ["a b a b", "a b c d"]


@pytest.fixture
def typed(tmp_path, monkeypatch):
    """Return a function that runs the command in a folder with a file `lines.txt`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lines.txt").write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    app = Typer()
    app.callback()(lambda: None)
    gpt2sdk_evaluation.gpt2sdk_cli(app)

    def run(*words, stdin=""):
        result = CliRunner().invoke(app, ["measure", *words], input=stdin)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def test_metrics_are_rows_and_files_are_columns(typed, tmp_path):
    (tmp_path / "one.txt").write_text("x", encoding="utf-8")

    lines = typed("lines.txt", "one.txt").stdout.splitlines()

    rows = {line.split()[0]: line.split()[1:] for line in lines[1:]}
    assert ["lines.txt", "one.txt"] == lines[0].split()
    assert (rows["texts"], rows["distinct_2"]) == (["2", "1"], ["0.6667", "–"])
    assert len(rows["self_bleu"]) == 1
    assert "bleu" not in rows


def test_json_is_the_measurement(typed):
    found = measure(TEXTS, TEXTS)

    ran = typed("lines.txt", "--references", "lines.txt", "--json")
    (record,) = json.loads(ran.stdout)

    assert (record["file"], record["texts"]) == ("lines.txt", 2)
    assert record["self_bleu"] == found.self_bleu
    assert record["bleu"]["score"] == found.bleu.score
    assert record["bleu"]["signature"] == found.bleu.signature


def test_what_is_not_defined_is_null(typed):
    (record,) = json.loads(typed("-", "--json", stdin="x\n").stdout)

    assert record["file"] == "-"
    assert [None] * 4 == [
        record[key] for key in ("distinct_2", "repetition_4", "self_bleu", "bleu")
    ]


def test_several_references_count_for_each_text(typed, tmp_path):
    (tmp_path / "more.txt").write_text("a b a b c\na b c\n", encoding="utf-8")
    files = ["--references", "lines.txt", "--references", "more.txt"]

    (record,) = json.loads(typed("lines.txt", *files, "--json").stdout)

    assert "nrefs:2" in record["bleu"]["signature"]


def test_references_that_do_not_fit_are_wrong_use(typed, tmp_path):
    (tmp_path / "one.txt").write_text("a b", encoding="utf-8")

    ran = typed("lines.txt", "--references", "one.txt")

    assert 2 == ran.exit_code
    assert "lines.txt has 2 texts, but there are 1 references" in ran.stderr


@pytest.mark.parametrize(
    ("name", "content", "key"),
    [
        ("a.txt", "one\ntwo", "text"),
        ("a.txt", "\ufeffone\r\ntwo\r\n", "text"),
        ("a.jsonl", '{"text": "one", "n": 1}\n\n"two"\n', "text"),
        ("a.jsonl", '{"out": "one"}\n{"out": "two"}', "out"),
        ("a.json", '{"completions": [{"text": "one"}, {"text": "two"}]}', "text"),
        ("a.json", '["one", {"text": "two"}]', "text"),
    ],
)
def test_generations_are_read(tmp_path, name, content, key):
    (tmp_path / name).write_text(content, encoding="utf-8", newline="")

    assert ["one", "two"] == read_generations(tmp_path / name, key=key)


def test_an_empty_line_is_an_empty_text(tmp_path):
    (tmp_path / "a.txt").write_text("one\n\ntwo\n", encoding="utf-8")

    assert ["one", "", "two"] == read_generations(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "expected texts, found none"),
        ("a.txt", b"\n \n", "expected texts, found none"),
        ("a.txt", b"a\xff", "is not UTF-8 text: byte 0xff at 1"),
        ("a.jsonl", b'"a"\nb', "line 2: expected JSON"),
        ("a.jsonl", b'{"out": "a"}', "expected a text, or an object with a text under 'text'"),
        ("a.json", b'{"text": "a"}', "expected a list, or an object with completions"),
        ("a.json", b"[5]", "entry 0: expected a text"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)

    with pytest.raises(OptionError) as caught:
        read_generations(tmp_path / name)
    assert message in str(caught.value)
