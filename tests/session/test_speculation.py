"""With a drafter a call gives the same, and where text repeats itself the model runs less often."""

import random

import pytest
import torch

from gpt2sdk import Drafter, each

END = 11
SHARP = {"temperature": 0.4}
PENALTIES = {"repetition_penalty": 1.1, "frequency_penalty": 0.05, "no_repeat_ngram_size": 9}
GUIDANCE = {"guidance_scale": 1.3, "negative_prompt": "ba"}
MIROSTAT = {"sampler": "mirostat", "mirostat_tau": 1.0, "mirostat_eta": 0.3}
STOP = {"stop": ["jja", "e h"]}
BANS = {**SHARP, "strategy": "backtrack", "banned_phrases": ["abc", "c", "in", "ee"]}
BEAM = {"strategy": "beam", "num_beams": 3, "num_return_sequences": 2, "max_new_tokens": 20}
CASES = {
    "sample": SHARP,
    "sample, two of each": {"num_return_sequences": 2, **SHARP, **STOP},
    "sample with penalties": {**SHARP, **PENALTIES, **STOP},
    "sample with memory": {**SHARP, "entropy": 0.1},
    "sample with guidance": {**SHARP, **GUIDANCE, **STOP},
    "mirostat": {**SHARP, **MIROSTAT, **PENALTIES},
    "options of each": {
        "temperature": each([0.2, 1.0, 0.5, 0.1] * 2),
        "guidance_scale": each([1.5, None, 1.2, 0.5] * 2),
        "negative_prompt": each(["ab", None, "ba", "e"] * 2),
        "entropy": each([0.1, None, 0.3, None] * 2),
        "max_new_tokens": each([40, 5, 33, 1] * 2),
    },
    "greedy": {"strategy": "greedy", **GUIDANCE, "entropy": 0.1, **STOP},
    "backtrack": BANS,
    "backtrack with everything": {
        **BANS,
        **PENALTIES,
        **GUIDANCE,
        **MIROSTAT,
        **STOP,
        "entropy": 0.1,
    },
    "beam": {**BEAM, **STOP},
    "beam with everything": {**BEAM, **PENALTIES, **GUIDANCE, **STOP, "entropy": 0.1},
}


class Noise(Drafter):
    """Proposes tokens of the row's own past at random: often wrong, at any place."""

    def propose(self, rows, k):
        chance = random.Random(str(rows.histories()))  # noqa: S311 - test data
        return torch.tensor([chance.choices(history, k=k) for history in rows.histories()])


class Vain(Drafter):
    """Proposes what is never taken."""

    def propose(self, rows, k):
        return torch.full((len(rows), k), END)


def generate(generator, prompts, **options):
    """Call with a seed for each prompt; prompts are of a length at which drafting is worth it."""
    seeds = list(range(len(prompts)))
    return generator.generate(prompts, seed=seeds, logprobs=0, **options)


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
    assert_drafters_change_nothing(generator, prompts, case, short=model == "gpt2")


@pytest.mark.parametrize("case", ["sample with guidance", "beam with everything"])
def test_so_it_is_whatever_runs_the_model(case, generators, run_generator):
    assert_drafters_change_nothing(run_generator, generators["gpt2"][1][:4], case, short=True)


def assert_drafters_change_nothing(generator, prompts, case, *, short):
    """Drafts that are often right, often wrong, in any batches: completions stay."""
    prompts = [prompt * 3 for prompt in prompts[:8]]
    # Where more is scored at once, sums in float32 differ in their last digits. One draw in some
    # millions is a tie of that size.
    options = {"max_new_tokens": 20 if short else 40, **CASES[case]}
    expected = generate(generator, prompts, **options)
    for drafter, size in (("prompt_lookup", 3), ("prompt_lookup", 8), (Noise(), 5)):
        result = generate(generator, prompts, drafter=drafter, batch_size=size, **options)
        assert_same(expected, result)
        assert result.usage.drafted or short


@pytest.mark.parametrize("rows", [1, 8])
@pytest.mark.parametrize("strategy", ["greedy", "sample"])
def test_text_that_repeats_itself_needs_fewer_model_calls(strategy, rows, generators):
    generator, prompts = generators["loops"]
    options = {"strategy": strategy, "eos_token_id": None, "max_new_tokens": 120}
    options |= {} if strategy == "greedy" else {"temperature": 0.2}
    plain = generate(generator, prompts[:rows], **options)
    drafted = generate(generator, prompts[:rows], drafter="prompt_lookup", **options)

    assert_same(plain, drafted)
    calls = [plain.usage.model_calls, drafted.usage.model_calls]
    print(strategy, rows, "rows: model calls without and with prompt lookup", calls)  # noqa: T201
    assert 2 * calls[1] <= calls[0]


@pytest.mark.parametrize("rows", [1, 8])
@pytest.mark.parametrize("strategy", ["greedy", "sample"])
def test_proposals_that_all_fail_cost_little(strategy, rows, generators):
    generator, prompts = generators["table"]
    options = {"strategy": strategy, "eos_token_id": None, "bad_words": [[END]]}
    plain = generate(generator, prompts[:rows], max_new_tokens=120, **options).usage
    vain = generate(generator, prompts[:rows], max_new_tokens=120, drafter=Vain(), **options).usage

    fed = [plain.tokens_fed, vain.tokens_fed]
    print(strategy, rows, "rows: tokens fed without and with vain proposals", fed)  # noqa: T201
    assert 0 == vain.accepted < vain.drafted
    assert plain.model_calls == vain.model_calls
    assert fed[1] <= 1.2 * fed[0]
