"""`overflow="slide"`: a full row goes on with its last half window, read anew."""

import pytest
import torch

from gpt2sdk import ContextOverflowError
from gpt2sdk.config import GPT2Config
from gpt2sdk.defaults import Greedy
from gpt2sdk.gpt2.model import GPT2
from gpt2sdk_drafters.prompt_lookup import PromptLookup

WINDOW = 16


@pytest.mark.parametrize("drafter", [None, PromptLookup()], ids=["", "drafted"])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_row_slides_on_past_the_window(drafter, batch_size, run, table_model):
    prompts = ["abc", "d" * 15, "efghij" * 4, "a"]
    options = {"sampler": Greedy(), "eos_token_ids": frozenset(), "max_new_tokens": 50}
    # Three last tokens decide here, and a half window has eight: nothing is lost by sliding.
    unbounded = run(prompts, model=table_model(), **options)
    sliding = run(
        prompts,
        model=table_model(context_length=WINDOW),
        overflow="slide",
        drafter=drafter,
        batch_size=batch_size,
        **options,
    )

    assert unbounded.essence == sliding.essence


def test_a_full_row_reads_half_a_window_anew(run, table_model):
    model = table_model(context_length=WINDOW)
    run(["a" * WINDOW], model=model, overflow="slide", max_new_tokens=2, eos_token_ids=frozenset())

    assert (2, WINDOW + WINDOW // 2) == (model.calls, model.tokens_fed)


def test_what_a_gpt2_sees_after_sliding_is_its_last_half_window(run):
    size = GPT2Config(
        vocab_size=12, n_positions=WINDOW, n_embd=16, n_layer=2, n_head=2, initializer_range=0.3
    )
    model = GPT2(size).eval()
    options = {"sampler": Greedy(), "eos_token_ids": frozenset(), "max_new_tokens": 30}
    tokens = run([[1, 2, 3]], model=model, overflow="slide", **options)[0, 0].tokens

    view, expected = [1, 2, 3], []
    for _ in range(30):
        if len(view) > WINDOW:
            view = view[-(WINDOW // 2) :]
        expected.append(int(model(torch.tensor([view])).logits[0, -1].argmax()))
        view.append(expected[-1])
    assert tuple(expected) == tokens


@pytest.mark.parametrize(("length", "room"), [(16, 2), (17, 1), (10, 8)])
def test_without_it_too_long_a_call_is_an_error_before_any_work(length, room, run, table_model):
    model = table_model(context_length=WINDOW)

    with pytest.raises(ContextOverflowError, match="window is 16"):
        run(["a" * length], model=model, max_new_tokens=room)
    assert 0 == model.calls


def test_the_last_token_needs_no_place_in_the_window(run, table_model):
    model = table_model(context_length=WINDOW)
    outcome = run(["a" * WINDOW], model=model, max_new_tokens=1)

    assert 1 == len(outcome[0, 0].tokens)
