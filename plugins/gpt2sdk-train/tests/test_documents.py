"""Files become documents, or one line that says what is wrong."""

import json

import pytest

from gpt2sdk import OptionError
from gpt2sdk_train import read_documents


def test_separator_lines_end_documents(tmp_path):
    file = tmp_path / "tales.txt"
    file.write_text("one\n\nmore\n<|endoftext|>\n\ntwo\n<|endoftext|>\n", encoding="utf-8")

    assert ["one\n\nmore", "two"] == read_documents(file)


def test_a_file_without_separators_is_one_document(tmp_path):
    file = tmp_path / "tale.txt"
    file.write_text("one\n\ntwo < |endoftext|> in a line\n", encoding="utf-8")

    assert ["one\n\ntwo < |endoftext|> in a line"] == read_documents(file)


@pytest.mark.parametrize("name", ["tale.txt", "tale.jsonl"])
def test_separators_within_a_line_end_documents(tmp_path, name):
    file = tmp_path / name
    text = "One.<|endoftext|>Two.<|endoftext|>"
    file.write_text(json.dumps({"text": text}) if name.endswith("l") else text, encoding="utf-8")

    assert ["One.", "Two."] == read_documents(file)


def test_another_separator_may_be_named(tmp_path):
    file = tmp_path / "tale.txt"
    file.write_text("One.</s>Two<|endoftext|>", encoding="utf-8")

    assert ["One.", "Two<|endoftext|>"] == read_documents(file, separator="</s>")


def test_json_lines_hold_a_document_each(tmp_path):
    file = tmp_path / "tales.jsonl"
    lines = [json.dumps({"text": "one\u2028more"}), "", json.dumps({"text": "two", "id": 7})]
    file.write_text("\n".join(lines), encoding="utf-8")

    assert ["one\u2028more", "two"] == read_documents(file)


def test_folders_are_read_in_the_order_of_names(tmp_path):
    for name in ("b.txt", "a.jsonl", "c.md"):
        text = json.dumps({"text": name}) if name.endswith("l") else name
        (tmp_path / name).write_text(text, encoding="utf-8")

    assert ["a.jsonl", "b.txt"] == read_documents(tmp_path)


def test_a_byte_order_mark_is_no_text(tmp_path):
    file = tmp_path / "tale.txt"
    file.write_bytes(b"\xef\xbb\xbfone")

    assert ["one"] == read_documents(file)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "expected text to train on, found none"),
        ("a.txt", b"\n \n<|endoftext|>\n", "expected text to train on, found none"),
        ("a.txt", b"caf\xe9", "expected UTF-8, found byte 0xe9 at 3"),
        ("a.jsonl", b'{"text": "one"}\n{', "line 2: expected JSON"),
        ("a.jsonl", b'{"body": "one"}', "line 1: expected an object like"),
        ("a.jsonl", b'"one"', "line 1: expected an object like"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(tmp_path, name, content, message):
    file = tmp_path / name
    file.write_bytes(content)

    with pytest.raises(OptionError, match=message) as caught:
        read_documents(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(OptionError, match=r"nowhere.txt: cannot be read: No such file"):
        read_documents(tmp_path / "nowhere.txt")


def test_only_line_breaks_end_a_line(tmp_path):
    text = "One.\u2028\u2028\x0c\x85Two."
    file = tmp_path / "a.txt"
    file.write_text(f"{text}\n---\nThree.", encoding="utf-8", newline="")

    assert [text, "Three."] == read_documents(file, separator="---")
