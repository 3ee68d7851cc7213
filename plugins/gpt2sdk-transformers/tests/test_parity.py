"""Models of transformers compute and decode here as they do there, and rows are strangers."""

from collections.abc import Callable

import pytest
import torch
from transformers import PreTrainedModel

from gpt2sdk import Generator, LayeredLM, PortableCache, Scores
from gpt2sdk_transformers.model import TransformersLM
from gpt2sdk_transformers.offered import RECURRENT
from gpt2sdk_transformers.recurrent_cache import PAGES, RecurrentCache

Tiny = Callable[[str], tuple[Generator, PreTrainedModel]]

PROMPTS = [[5, 6, 7, 8, 9, 10, 11, 12], [20, 30], [40, 41, 42, 43, 44]]
NEW = 10


def lm_of(gen: Generator) -> TransformersLM:
    assert isinstance(gen.model, TransformersLM)
    return gen.model


def whole(network: PreTrainedModel, tokens: list[int]) -> torch.Tensor:
    """Logits after each token, as transformers computes them without a cache."""
    with torch.no_grad():
        return network(input_ids=torch.tensor([tokens]), use_cache=False).logits[0]


def padded(prompts: list[list[int]]) -> dict[str, torch.Tensor]:
    longest = max(map(len, prompts))
    return {
        "input_ids": torch.tensor([[0] * (longest - len(row)) + row for row in prompts]),
        "attention_mask": torch.tensor(
            [[0] * (longest - len(row)) + [1] * len(row) for row in prompts]
        ),
    }


def close(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    return torch.allclose(found, wanted, atol=2e-4, rtol=1e-4)


def test_rows_fed_in_parts_have_the_logits_of_transformers(tiny: Tiny, kind: str) -> None:
    gen, network = tiny(kind)
    model = lm_of(gen)
    rows = [
        [(7 * place + 3 * row) % 270 for place in range(n)] for row, n in enumerate((19, 6, 11))
    ]
    cache = model.make_cache(3)
    found: list[list[torch.Tensor]] = [[], [], []]
    for start, stop in ((0, 4), (4, 9), (9, 10), (10, 99)):
        fed = [row[start:stop] for row in rows]
        logits = model.score(cache, fed, list(map(len, fed))).logits
        for row, part in enumerate(logits.split(list(map(len, fed)))):
            found[row].append(part)
    assert all(
        close(torch.cat(parts), whole(network, row)) for parts, row in zip(found, rows, strict=True)
    )


def test_greedy_ids_are_those_of_transformers(tiny: Tiny, kind: str) -> None:
    gen, network = tiny(kind)
    result = gen.generate(PROMPTS, strategy="greedy", max_new_tokens=NEW)
    for completion, prompt in zip(result.completions, PROMPTS, strict=True):
        ids = torch.tensor([prompt])
        mask = torch.ones_like(ids)
        alone = network.generate(ids, attention_mask=mask, do_sample=False, max_new_tokens=NEW)
        assert alone[0, len(prompt) :].tolist() == list(completion.tokens)


def test_beam_ids_and_scores_are_those_of_transformers(tiny: Tiny, kind: str) -> None:
    gen, network = tiny(kind)
    result = gen.generate(PROMPTS, strategy="beam", num_beams=4, max_new_tokens=NEW)
    for completion, prompt in zip(result.completions, PROMPTS, strict=True):
        wanted = network.generate(
            **padded([prompt]),
            do_sample=False,
            num_beams=4,
            max_new_tokens=NEW,
            return_dict_in_generate=True,
            output_scores=True,
            # Its states stay where they were when transformers' beams change places.
            use_cache=kind != "recurrent_gemma",
        )
        ids = wanted.sequences[0, len(prompt) :].tolist()
        assert ids[: len(completion.tokens)] == list(completion.tokens)
        assert completion.score == pytest.approx(wanted.sequences_scores[0].item(), abs=1e-4)


@pytest.mark.parametrize("kind", ["llama", "qwen3", "phi", "gpt_neox"])
def test_beams_of_a_ragged_batch_are_those_of_transformers(tiny: Tiny, kind: str) -> None:
    gen, network = tiny(kind)
    result = gen.generate(PROMPTS, strategy="beam", num_beams=4, max_new_tokens=NEW)
    wanted = network.generate(
        **padded(PROMPTS),
        do_sample=False,
        num_beams=4,
        max_new_tokens=NEW,
        return_dict_in_generate=True,
        output_scores=True,
    )
    longest = max(map(len, PROMPTS))
    for completion, ids, score in zip(
        result.completions, wanted.sequences[:, longest:], wanted.sequences_scores, strict=True
    ):
        assert ids[: len(completion.tokens)].tolist() == list(completion.tokens)
        assert completion.score == pytest.approx(score.item(), abs=1e-4)


def test_a_row_alone_is_a_row_in_a_batch(tiny: Tiny, kind: str) -> None:
    gen, _ = tiny(kind)
    together = gen.generate(PROMPTS, max_new_tokens=NEW, seed=[3, 4, 5], temperature=0.8)
    for place, prompt in enumerate(PROMPTS):
        alone = gen.generate(prompt, max_new_tokens=NEW, seed=3 + place, temperature=0.8)
        assert alone.completions[0].tokens == together.completions[place].tokens


def feed(model: TransformersLM, cache: object, *rows: list[int]) -> Scores:
    return model.score(cache, rows, list(map(len, rows)))  # type: ignore[arg-type]


def test_forks_and_rewound_rows_are_rows_fed_anew(tiny: Tiny, kind: str) -> None:
    gen, _ = tiny(kind)
    model = lm_of(gen)
    cache = model.make_cache(2)
    feed(model, cache, list(range(3, 17)), [30, 31])
    cache.fork([0, 0, -1, 1])
    cache.rewind([9, 14, 0, 1])
    assert tuple(cache.lengths) == (9, 14, 0, 1)
    found = feed(model, cache, [50, 51], [60], [70, 71, 72], [80]).logits
    anew = model.make_cache(4)
    histories = list(range(3, 12)), list(range(3, 17)), [], [30]
    feed(model, anew, *histories)
    assert close(found, feed(model, anew, [50, 51], [60], [70, 71, 72], [80]).logits)


def test_what_is_copied_out_is_copied_in_again(tiny: Tiny, kind: str) -> None:
    gen, _ = tiny(kind)
    model = lm_of(gen)
    first, second = model.make_cache(1), model.make_cache(2)
    if kind in RECURRENT:
        assert not isinstance(first, PortableCache)
        return
    assert isinstance(first, PortableCache)
    feed(model, first, list(range(3, 17)))
    held = first.copy_out(0, 0, 8)
    assert sum(each.nbytes for each in held) == 8 * first.token_nbytes
    second.copy_in(1, held)
    feed(model, second, [], list(range(11, 17)))
    found = feed(model, second, [], [40]).logits
    assert close(found, feed(model, first, [40]).logits)


def test_hidden_states_are_those_before_the_last_norm(tiny: Tiny, kind: str) -> None:
    gen, network = tiny(kind)
    model = lm_of(gen)
    assert isinstance(model, LayeredLM)
    rows = [[3, 4, 5, 6, 7, 8, 9], [20, 21]]
    layers = range(model.layers + 1)
    scores = model.score(model.make_cache(2), rows, [2, 1], hidden_states=layers)
    with torch.no_grad():
        outputs = [
            network(input_ids=torch.tensor([row]), output_hidden_states=True, use_cache=False)
            for row in rows
        ]
    streams = [each.hidden_states for each in outputs]
    if kind.startswith("mamba"):
        # Its list begins behind the first block.
        table = network.get_input_embeddings()
        streams = [
            (table(torch.tensor([row])), *each[:-1])
            for row, each in zip(rows, streams, strict=True)
        ]
    for layer in range(model.layers):
        wanted = [each[layer][0] for each in streams]
        assert close(scores.hidden_states[layer], torch.cat([wanted[0][-2:], wanted[1][-1:]]))
    last = scores.hidden_states[model.layers]
    behind = [each.hidden_states[-1][0] for each in outputs]
    assert close(model.final_norm(last), torch.cat([behind[0][-2:], behind[1][-1:]]))
    assert close(model.unembed(model.final_norm(last)), scores.logits)
    assert not close(last, model.final_norm(last))


def test_a_plan_counts_what_the_cache_takes(tiny: Tiny, kind: str) -> None:
    gen, _ = tiny(kind)
    model = lm_of(gen)
    cache = model.make_cache(1)
    feed(model, cache, [3, 4])
    cpu = torch.device("cpu")
    parts = gen.architecture.parts()
    planned = sum(gen.architecture.cache_nbytes(part, torch.bfloat16, cpu) for part in parts)
    states = sum(gen.architecture.row_nbytes(part, torch.float32, cpu) for part in parts)
    if isinstance(cache, RecurrentCache):
        assert planned == cache.keys.token_nbytes
        assert states == PAGES * cache.pages.page_nbytes > 0
    else:
        assert planned == cache.token_nbytes
        assert states == 0
