"""The journal: what is left of it after deaths of all kinds."""

import errno
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2sdk import OptionError
from gpt2sdk_batch.errors import BatchError
from gpt2sdk_batch.journal import Journal


def result(index):
    return index, json.dumps({"id": index, "index": index, "text": "a" * index}).encode(), False


def filled(path, count):
    with Journal(path, 20) as journal:
        journal.begin({"gpt2sdk_batch": 1})
        journal.add([result(index) for index in range(count)])
    return path.read_bytes()


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_journal_cut_anywhere_keeps_its_whole_lines(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("cut") / "j"
    whole = filled(path, 9)
    head = whole.index(b"\n") + 1
    cut = data.draw(st.integers(head, len(whole)))
    path.write_bytes(whole[:cut])

    with Journal(path, 20) as journal:
        kept = whole[:cut].count(b"\n") - 1

        assert kept == journal.done
        assert [result(n)[1] for n in range(kept)] == list(journal.results(iter(range(kept))))
        journal.add([result(index) for index in range(kept, 12)])
    with Journal(path, 20) as journal:
        assert 12 == journal.done
        assert [result(n)[1] for n in range(12)] == list(journal.results(iter(range(12))))


@pytest.mark.parametrize("rubbish", [b"\0" * 4096, b'0badc0de {"index":7}\n', b"\xff\xfe", b"\n"])
def test_what_a_power_cut_left_behind_is_dropped(tmp_path, rubbish):
    path = tmp_path / "j"
    whole = filled(path, 5)
    path.write_bytes(whole + rubbish)

    with Journal(path, 20) as journal:
        assert 5 == journal.done
    assert whole == path.read_bytes()


@pytest.mark.parametrize("left", [b"", b"1234", b'12345678 {"gpt2sdk_ba', b"\0" * 512])
def test_a_head_that_was_torn_begins_anew(tmp_path, left):
    path = tmp_path / "j"
    path.write_bytes(left)

    with Journal(path, 20) as journal:
        assert None is journal.head
        journal.begin({"gpt2sdk_batch": 1})
    with Journal(path, 20) as journal:
        assert {"gpt2sdk_batch": 1} == journal.head


def test_another_file_is_not_taken_for_a_journal(tmp_path):
    path = tmp_path / "j"
    path.write_text("my diary\n")

    with pytest.raises(OptionError, match="is no journal of a batch"):
        Journal(path, 20)
    assert "my diary\n" == path.read_text()


def test_a_line_is_never_there_twice(tmp_path):
    path = tmp_path / "j"
    before = filled(path, 5)

    with Journal(path, 20) as journal:
        journal.add([result(3), result(4)])

        assert 5 == journal.done
    assert before == path.read_bytes()


def test_two_runs_on_one_output_are_refused(tmp_path):
    path = tmp_path / "j"

    with Journal(path, 20), pytest.raises(OptionError, match="another run is at work"):
        Journal(path, 20)
    Journal(path, 20).close()


def test_what_made_results_is_noted_once(tmp_path):
    path = tmp_path / "j"
    for ran in ({"name": "a"}, {"name": "a"}, {"name": "b"}):
        with Journal(path, 20) as journal:
            if journal.head is None:
                journal.begin({"gpt2sdk_batch": 1})
            journal.note(ran)

    with Journal(path, 20) as journal:
        assert [{"name": "a"}, {"name": "b"}] == journal.ran


@pytest.mark.parametrize("room", [0, 1, 40, 79])
def test_a_full_disk_keeps_what_was_whole(tmp_path, room):
    path = tmp_path / "j"
    whole = filled(path, 5)
    left = [room]

    def write(file, data):
        some = min(left[0], len(data))
        left[0] -= some
        if not some:
            raise OSError(errno.ENOSPC, "No space left on device")
        return os.write(file, data[:some])

    with Journal(path, 20, write=write) as journal:
        with pytest.raises(BatchError, match="No space left on device; 5 lines are done") as caught:
            journal.add([result(5), result(6)])
        assert (5, 5) == (caught.value.done, journal.done)
        assert whole == path.read_bytes()
        left[0] = 10_000
        journal.add([result(5), result(6)])
        assert 7 == journal.done
