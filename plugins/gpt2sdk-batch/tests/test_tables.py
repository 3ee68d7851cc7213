"""Tables in and out: the results are those of lines."""

import json

import pytest

from gpt2sdk import OptionError
from gpt2sdk_batch import GenerateBatch, generate_table, merge, run
from gpt2sdk_batch.side_file import journal_of

USUAL = {"max_new_tokens": 4, "top_p": 0.9}
ROWS = [
    # Tables of Arrow have the fields that their first row has.
    {"id": "a", "prompt": "Once", "more": 1.5, "choices": None},
    {"id": "b", "prompt": "The king", "more": 2.5},
    {"id": "c", "prompt": "A", "more": 3.5, "choices": [" good", " bad"]},
    {"id": "d", "more": 4.5},
]


@pytest.fixture(scope="module")
def expected(gen):
    return generate_table(gen, ROWS, **USUAL)


def test_a_list_has_results_beside_its_rows(gen, expected, write, tmp_path):
    run(gen, write(ROWS[:3]), tmp_path / "out.jsonl", ignore=["more"], **USUAL)
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]

    assert [line["text"] for line in lines] == [row["text"] for row in expected[:3]]
    assert [line.get("completions") for line in lines] == [
        row.get("completions") for row in expected[:3]
    ]
    assert [1.5, 2.5, 3.5, 4.5] == [row["more"] for row in expected]
    assert "line 4 has no prompt" in expected[3]["error"]["message"]


def test_a_frame_comes_back_as_a_frame(gen, expected):
    pandas = pytest.importorskip("pandas", reason="needs pandas: gpt2sdk-batch[pandas]")
    frame = pandas.DataFrame(ROWS, index=[3, 5, 7, 9])
    found = generate_table(gen, frame, **USUAL)

    assert [3, 5, 7, 9] == list(found.index)
    assert [row["text"] for row in expected[:3]] == list(found["text"][:3])
    assert "text" not in frame


def test_an_arrow_table_comes_back_as_one(gen, expected):
    arrow = pytest.importorskip("pyarrow", reason="needs pyarrow: gpt2sdk-batch[parquet]")
    found = generate_table(gen, arrow.Table.from_pylist(ROWS), **USUAL).to_pylist()

    assert [row.get("text") for row in expected] == [row["text"] for row in found]
    assert json.loads(found[0]["own_options"]) == expected[0]["own_options"]


def test_a_dataset_comes_back_as_one(gen, expected):
    datasets = pytest.importorskip("datasets", reason="needs datasets: gpt2sdk-batch[datasets]")
    found = generate_table(gen, datasets.Dataset.from_list(ROWS), **USUAL)

    assert isinstance(found, datasets.Dataset)
    assert [row.get("text") for row in expected] == list(found["text"])


@pytest.mark.parametrize("kind", ["frame", "parquet", "dataset", "table"])
def test_a_batch_may_come_from_tables(gen, write, tmp_path, kind):
    arrow = pytest.importorskip("pyarrow", reason="needs pyarrow: gpt2sdk-batch[parquet]")
    import pyarrow.parquet

    run(gen, write(ROWS[:3]), tmp_path / "lines.jsonl", ignore="*", **USUAL)
    table = arrow.Table.from_pylist(ROWS[:3])
    if kind == "frame":
        source = pytest.importorskip("pandas", reason="needs pandas").DataFrame(ROWS[:3])
    elif kind == "dataset":
        datasets = pytest.importorskip("datasets", reason="needs datasets")
        source = datasets.Dataset.from_list(ROWS[:3])
    elif kind == "parquet":
        source = tmp_path / "in.parquet"
        pyarrow.parquet.write_table(table, source)
    else:
        source = table
    run(gen, source, tmp_path / "out.jsonl", ignore=["more"], **USUAL)

    assert (tmp_path / "lines.jsonl").read_bytes() == (tmp_path / "out.jsonl").read_bytes()


def test_a_table_of_results_says_what_the_lines_say(gen, write, tmp_path):
    arrow = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow: gpt2sdk-batch[parquet]")
    lines = [*ROWS[:3], {"id": "e", "prompt": "A", "options": {"no": 1}}]
    source = write(lines)
    run(gen, source, tmp_path / "out.jsonl", ignore="*", logprobs=2, **USUAL)
    run(gen, source, tmp_path / "out.parquet", ignore="*", logprobs=2, **USUAL)
    rows = arrow.read_table(tmp_path / "out.parquet").to_pylist()

    for line, row in zip((tmp_path / "out.jsonl").read_text().splitlines(), rows, strict=True):
        for name, value in json.loads(line).items():
            found = json.loads(row[name]) if name == "options" else row[name]
            if name == "completions":
                for each in found:
                    each["top_logprobs"] = json.loads(each["top_logprobs"])
                found = [{k: v for k, v in each.items() if v is not None} for each in found]
            assert value == found


def test_ids_of_two_kinds_do_not_fit_into_a_column(gen, write, tmp_path):
    source = write([{"id": "a", "prompt": "x"}, {"id": 1, "prompt": "x"}])

    with pytest.raises(OptionError, match="a column of a table has one type"):
        run(gen, source, tmp_path / "out.parquet", **USUAL)


@pytest.mark.parametrize(("name", "said"), [(2**63, "64 bits"), ("a\ud83d", "whole characters")])
def test_ids_that_no_column_can_have_are_refused_before_any_work(gen, write, tmp_path, name, said):
    source = write([{"id": name, "prompt": "x"}])
    target = tmp_path / "out.parquet"

    with pytest.raises(OptionError, match=rf"the id .* does not fit .* {said}"):
        run(gen, source, target, **USUAL)
    assert not journal_of(target).exists()
    run(gen, source, tmp_path / "out.jsonl", **USUAL)
    with pytest.raises(OptionError, match=rf"the id .* does not fit .* {said}"):
        merge(target, [tmp_path / "out.jsonl"])
    assert not target.exists()


def test_half_a_character_in_an_error_or_an_option_is_written_out(gen, write, tmp_path):
    arrow = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow: gpt2sdk-batch[parquet]")
    source = write(
        [
            {"id": "a", "prompt": "Once", "options": {"no\ud83d": 1}},
            {"id": "b", "prompt": "Once", "options": {"stop": ["\ud83d"]}},
            {"id": "c", "prompt": "Once", "choices": ["\ud83d", " b"]},
        ]
    )
    run(gen, source, tmp_path / "out.parquet", **USUAL)
    rows = arrow.read_table(tmp_path / "out.parquet").to_pylist()

    assert r"no\ud83d" in rows[0]["error"]["message"]
    assert ["a", "b", "c"] == [row["id"] for row in rows]


@pytest.mark.parametrize("kind", ["arrow", "pandas", "numpy"])
def test_batches_of_ray_have_results_beside_their_rows(expected, kind):
    arrow = pytest.importorskip("pyarrow", reason="needs pyarrow: gpt2sdk-batch[parquet]")
    table = arrow.Table.from_pylist(ROWS)
    if kind == "pandas":
        pytest.importorskip("pandas", reason="needs pandas: gpt2sdk-batch[pandas]")
        table = table.to_pandas()
    elif kind == "numpy":
        table = {n: table.column(n).to_numpy(zero_copy_only=False) for n in table.column_names}
    generate = GenerateBatch("storyteller", **USUAL)
    found = generate(table)

    assert [row.get("text") for row in expected] == found.column("text").to_pylist()
    assert [1.5, 2.5, 3.5, 4.5] == found.column("more").to_pylist()
    assert [row.get("error") for row in expected] == found.column("error").to_pylist()


def test_a_batch_without_ids_is_refused():
    arrow = pytest.importorskip("pyarrow", reason="needs pyarrow: gpt2sdk-batch[parquet]")

    with pytest.raises(OptionError, match="has the columns prompt, expected an id"):
        GenerateBatch("storyteller")(arrow.table({"prompt": ["a"]}))


def test_what_is_no_table_is_refused(gen):
    with pytest.raises(OptionError, match="expected a path, a table, or a list"):
        generate_table(gen, 5)


def test_a_missing_package_is_named(gen, write, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (tmp_path / "in.parquet").write_bytes(b"")

    with pytest.raises(OptionError, match=r"pip install 'gpt2sdk-batch\[parquet\]'"):
        run(gen, tmp_path / "in.parquet", tmp_path / "out.jsonl")
