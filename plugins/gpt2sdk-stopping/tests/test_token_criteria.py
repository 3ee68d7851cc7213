"""Stop tokens and the deadline, in calls."""

import time

import pytest
import torch

from gpt2sdk import Generator, OptionError
from gpt2sdk.testing import make_rows, save_tiny_model
from gpt2sdk.testing.trial import open_session
from gpt2sdk_stopping.max_time import MaxTime
from gpt2sdk_stopping.stop_token_ids import StopTokenIds


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    save_tiny_model(folder)
    return Generator.from_pretrained(folder)


def test_a_row_ends_with_a_stop_token_and_keeps_it(generator):
    whole = generator.generate([[1, 2]], max_new_tokens=30, seed=5).completions[0]
    token = whole.tokens[7]

    ended = generator.generate([[1, 2]], max_new_tokens=30, seed=5, stop_token_ids=[token])

    completion = ended.completions[0]
    assert whole.tokens[: whole.tokens.index(token) + 1] == completion.tokens
    assert "stop_token" == completion.finish_reason
    assert generator.tokenizer.decode(completion.tokens) == completion.text


def test_a_stop_token_in_the_prompt_ends_nothing(generator):
    ids = [1, 2]
    free = generator.generate([ids], max_new_tokens=1, seed=5)

    ended = generator.generate([ids], max_new_tokens=1, seed=5, stop_token_ids=[ids[-1]])

    assert free.completions[0].tokens == ended.completions[0].tokens
    assert "length" == ended.completions[0].finish_reason


def test_a_stop_token_must_exist(generator):
    with pytest.raises(OptionError, match="stop_token_ids names token 9999"):
        generator.generate("Once", stop_token_ids=[9999])


def test_rows_end_once_the_time_is_up(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    prompts = [row.prompt for row in make_rows([[0], [1]]).records]
    session = open_session(prompts, MaxTime(max_time=2.5), vocab_size=5)

    session.append([1, 1])
    now[0] = 102.4
    session.append([1, 1])
    assert [None, None] == session.rows.finish_reason
    now[0] = 102.5
    session.append([1, 1])
    assert ["max_time", "max_time"] == session.rows.finish_reason


def test_a_call_is_over_in_time_and_keeps_its_text(generator):
    options = {"max_new_tokens": 100, "eos_token_id": None, "batch_size": 1}
    result = generator.generate(["Once"] * 3, max_time=1e-9, **options)

    assert ["max_time"] * 3 == [each.finish_reason for each in result.completions]
    assert [1] * 3 == [len(each.tokens) for each in result.completions]


def test_masks_are_on_the_rows_device():
    rows = make_rows([[0, 2], [2]])
    prompts = [row.prompt for row in rows.records]
    session = open_session(prompts, vocab_size=5)

    run = StopTokenIds(stop_token_ids=[2]).start(session)

    assert torch.equal(torch.tensor([True, False]), run.check(rows))
