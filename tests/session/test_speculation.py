"""With a drafter a call gives the same, and where text repeats itself the model runs less often."""

import random

import pytest
import torch

from gpt2sdk import Drafter, each

PENALTIES = {"repetition_penalty": 1.1, "frequency_penalty": 0.05, "no_repeat_ngram_size": 9}
GUIDANCE = {"guidance_scale": 1.3, "negative_prompt": "ba"}
MIROSTAT = {"sampler": "mirostat", "tau": 1.0, "eta": 0.3}
STOP = {"stop": ["jja", "e h"]}
BANS = {"strategy": "backtrack", "banned_phrases": ["abc", "c", "in", "ee"]}
BEAM = {"strategy": "beam", "num_beams": 3, "num_return_sequences": 2}
CASES = {
    "sample": {},
    "sample, two of each": {"num_return_sequences": 2, **STOP},
    "sample with penalties": {**PENALTIES, **STOP},
    "sample with memory": {"entropy": 0.1},
    "sample with guidance": {**GUIDANCE, **STOP},
    "mirostat": {**MIROSTAT, **PENALTIES},
    "options of each": {
        "temperature": each([0.2, 1.0, 0.5, 0.1] * 4),
        "guidance_scale": each([1.5, None, 1.2, 0.5] * 4),
        "negative_prompt": each(["ab", None, "ba", "e"] * 4),
        "entropy": each([0.1, None, 0.3, None] * 4),
        "max_new_tokens": each([40, 5, 33, 1] * 4),
    },
    "greedy": {"strategy": "greedy", **GUIDANCE, "entropy": 0.1, **STOP},
    "backtrack": BANS,
    "backtrack with everything": {**BANS, **PENALTIES, **GUIDANCE, **MIROSTAT, **STOP, "entropy": 0.1},
    "beam": {**BEAM, **STOP},
    "beam with everything": {**BEAM, **PENALTIES, **GUIDANCE, **STOP, "entropy": 0.1},
}


class Noise(Drafter):
    """Proposes tokens of the row's own past at random: often wrong, at any place."""

    def propose(self, rows, k):
        drafts = [random.Random(str(past)).choices(past, k=k) for past in rows.histories()]
        return torch.tensor(drafts)


def generate(generator, prompts, **options):
    """Call with a seed for each prompt; prompts are of a length at which drafting is worth it."""
    options = {"max_new_tokens": 40, "logprobs": True, **options}
    return generator.generate(prompts, seed=list(range(len(prompts))), **options)


def assert_same(expected, result):
    for one, other in zip(expected.completions, result.completions, strict=True):
        assert one.tokens == other.tokens
        assert (one.text, one.finish_reason) == (other.text, other.finish_reason)
        assert pytest.approx(one.score or 0.0, abs=1e-5) == (other.score or 0.0)
        assert pytest.approx(one.logprobs, rel=1e-4, abs=1e-4) == other.logprobs


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("model", ["loops", "gpt2"])
def test_a_drafter_changes_nothing_but_the_cost(model, case, generators):
    generator, prompts = generators[model]
    prompts = [prompt * 3 for prompt in prompts]
    expected = generate(generator, prompts, **CASES[case])
    for drafter, size in (("prompt_lookup", 3), ("prompt_lookup", 16), (Noise(), 5)):
        result = generate(generator, prompts, drafter=drafter, batch_size=size, **CASES[case])
        assert_same(expected, result)
        assert 0 < result.usage.accepted < result.usage.drafted


@pytest.mark.parametrize("rows", [1, 8])
@pytest.mark.parametrize("strategy", ["greedy", "sample"])
def test_text_that_repeats_itself_needs_fewer_model_calls(strategy, rows, generators):
    generator, prompts = generators["loops"]
    options = {"strategy": strategy, "eos_token_id": None, "max_new_tokens": 120}
    plain = generate(generator, prompts[:rows], **options)
    drafted = generate(generator, prompts[:rows], drafter="prompt_lookup", **options)

    assert_same(plain, drafted)
    print(f"{strategy}, {rows} rows: {plain.usage.model_calls} model calls, {drafted.usage.model_calls} drafted")
    assert 2 * drafted.usage.model_calls <= plain.usage.model_calls
