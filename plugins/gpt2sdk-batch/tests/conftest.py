"""One model for all tests of batches, and files of lines."""

import json

import pytest

from gpt2sdk import Generator


@pytest.fixture(scope="session")
def gen():
    """Return the storyteller, as it is loaded where nobody says how."""
    return Generator.from_pretrained("storyteller")


@pytest.fixture
def write(tmp_path):
    """Return what writes lines into a file of an empty folder."""

    def written(lines, name="in.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    return written


@pytest.fixture(scope="session")
def some_lines():
    """Return what makes lines."""
    return _lines


def _lines(count):
    starts = ["Once upon a time", "The king", "A", "There was an old woman who"]
    return [{"id": f"line {n}", "prompt": f"{starts[n % 4]} {n}"} for n in range(count)]
