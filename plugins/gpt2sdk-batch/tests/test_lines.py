"""What a line may say, what it is called, and where lines come from."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt2sdk import OptionError
from gpt2sdk_batch.seeds import seed_of
from gpt2sdk_batch.shards import LineShard, read_shard
from gpt2sdk_batch.sources import open_source
from gpt2sdk_batch.survey import read_tasks, survey
from gpt2sdk_batch.tasks import LineTask, read_task


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"prompt": "a"}, LineTask(3, 3, "a")),
        ({"id": "x", "prompt": [1, 2]}, LineTask(3, "x", [1, 2])),
        ({"id": 7, "messages": [{"role": "user"}]}, LineTask(3, 7, messages=[{"role": "user"}])),
        ({"prompt": "a", "choices": ["b"]}, LineTask(3, 3, "a", choices=["b"])),
        ({"prompt": "a", "messages": None}, LineTask(3, 3, "a")),
        ({"prompt": "a", "options": '{"top_k": 5}'}, LineTask(3, 3, "a", options={"top_k": 5})),
    ],
)
def test_a_line_is_read(record, expected):
    assert expected == read_task(3, record)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ([1], r"line 4 is \[1\], expected an object"),
        ({}, "line 4 has no prompt"),
        ({"prompt": "a", "messages": []}, "line 4 has both prompt and messages"),
        ({"prompt": "a", "choises": ["b"]}, "the field 'choises', .* did you mean choices?"),
        ({"prompt": "a", "temperature": 1}, "options of a line stand under options"),
        ({"prompt": "a", "options": ["b"]}, "what is chosen among is called choices"),
        ({"prompt": "a", "id": 1.5}, "has the id 1.5, expected a text or a whole number"),
        ({"prompt": "a", "id": True}, "has the id True"),
        ({"prompt": "a", "normalization": 1}, "has 1 as normalization"),
    ],
)
def test_a_line_that_is_wrong_says_so(record, said):
    with pytest.raises(OptionError, match=said):
        read_task(3, record)


def test_fields_that_are_named_are_passed_over():
    line = {"prompt": "a", "answer": "b", "more": 1}

    assert LineTask(0, 0, "a") == read_task(0, line, ("answer", "more"))
    assert LineTask(0, 0, "a") == read_task(0, line, ("*",))


def test_a_seed_is_the_same_on_every_machine():
    assert [8975554039676065716, 954453500572592896] == [seed_of(0, "a"), seed_of(-1, 12)]


@given(st.integers(), st.text() | st.integers())
def test_a_seed_has_63_bits(seed, name):
    assert 0 <= seed_of(seed, name) < 2**63


def test_ids_are_unique_or_nothing_runs(write):
    path = write(
        [{"id": "a", "prompt": "x"}, {"id": "b", "prompt": "x"}, {"id": "a", "prompt": "y"}]
    )

    with pytest.raises(OptionError, match="lines 1 and 3 have the id 'a'; give each its own"):
        survey(open_source(path))


def test_a_number_that_is_another_lines_place_is_told(write):
    path = write([{"id": 1, "prompt": "x"}, {"prompt": "x"}])

    with pytest.raises(OptionError, match="lines 1 and 2 have the id 1; a line without one has"):
        survey(open_source(path))


def test_texts_and_numbers_are_different_ids(write):
    found = survey(open_source(write([{"id": "1", "prompt": "x"}, {"id": 1, "prompt": "x"}])))

    assert (2, True, True) == (found.lines, found.ids.texts, found.ids.numbers)


def test_a_line_that_is_no_json_is_found_before_any_work(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text('{"prompt": "a"}\n\n{"prompt": "b"\n')

    with pytest.raises(OptionError, match=r"in.jsonl, line 3 is no JSON"):
        survey(open_source(path))


def test_empty_lines_are_passed_over_and_only_line_breaks_end_lines(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_bytes('\ufeff{"prompt": "a\u2028b"}\r\n\n{"prompt": "c"}'.encode())

    assert ["a\u2028b", "c"] == [task.prompt for task in read_tasks(open_source(path))]


def test_packed_lines_are_those_that_were_packed(tmp_path):
    path = tmp_path / "in.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"prompt": "a"}\n{"prompt": "b"}\n'))

    assert ["a", "b"] == [task.prompt for task in read_tasks(open_source(path))]


@pytest.mark.parametrize("name", ["in.csv", "in", "in.json"])
def test_a_file_of_another_kind_is_refused(tmp_path, name):
    with pytest.raises(OptionError, match=r"expected a name that ends with .jsonl"):
        open_source(tmp_path / name)


@pytest.mark.parametrize("written", ["4/4", "1", "a/b", "-1/4", "5/4", "0/0", (1, 1)])
def test_a_shard_that_is_none_is_refused(written):
    with pytest.raises(OptionError, match="from 0"):
        read_shard(written)


@given(st.integers(0, 50), st.integers(1, 9))
def test_shards_have_every_line_once(lines, count):
    parts = [LineShard(number, count).indices(lines) for number in range(count)]

    assert list(range(lines)) == sorted(index for part in parts for index in part)
