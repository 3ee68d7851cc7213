"""Checks in whole generations: with and without drafts, and of how drafters change nothing."""

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from jaxtyping import Int
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from gpt2sdk.components.component import Component
from gpt2sdk.components.drafter import Drafter
from gpt2sdk.components.processor import LogitsProcessor
from gpt2sdk.components.records import Result
from gpt2sdk.components.rows import Rows
from gpt2sdk.components.sampler import Sampler
from gpt2sdk.components.strategy import Strategy
from gpt2sdk.errors import OptionError
from gpt2sdk.generator.generator import Generator
from gpt2sdk.testing.letters import Letters
from gpt2sdk.testing.promise import promise
from gpt2sdk.testing.situations import END, VOCAB_SIZE
from gpt2sdk.testing.table_model import TableModel

PROMPTS = ("once", "a", "the end of it", "aaaa")
SEEDS = (1, 2, 3, 4)
_LETTERS = ("a", "b", "y", ".")
_NEW_TOKENS = 23
_EACH_WRONG = 4


class Script(Drafter):
    """Proposes what it is told that rows will say, with a wrong token now and then.

    It knows the future, so that drafts are accepted and rejected in every call.
    """

    lines: Annotated[
        tuple[tuple[int, ...], ...], Field(description="What each prompt's row will say.")
    ] = ()

    @override
    def propose(self, rows: Rows, k: int) -> Int[Tensor, "rows k"]:
        proposals = [
            self._line(record.prompt.index)[record.grown : record.grown + k]
            for record in rows.records
        ]
        return torch.tensor(
            [[*each, *[-1] * (k - len(each))] for each in proposals],
            dtype=torch.int64,
            device=rows.device,
        ).view(len(rows), k)

    def _line(self, prompt: int) -> list[int]:
        """What a row will say, every fourth token of it wrong."""
        return [
            (token + 1) % VOCAB_SIZE if place % _EACH_WRONG == _EACH_WRONG - 1 else token
            for place, token in enumerate(self.lines[prompt])
        ]


def letters_generator() -> Generator:
    """Return a generator without weights, whose tokens are letters and an end."""
    letters = Letters()
    return Generator(TableModel(VOCAB_SIZE), letters, decoder=letters, eos_token_ids=[END])


def generate(
    component: Component,
    prompts: Sequence[str] = PROMPTS,
    seeds: Sequence[int] = SEEDS,
    **options: Any,  # noqa: ANN401 - of any call
) -> Result:
    """Continue prompts with a component at work in its role.

    Args:
        component: Of any role that acts in a call.
        prompts: Texts.
        seeds: One for each.
        options: Others of the call.
    """
    if isinstance(component, Strategy):
        options["strategy"] = component
    elif isinstance(component, Drafter):
        options["drafter"] = component
    elif isinstance(component, Sampler):
        options["sampler"] = component
    elif isinstance(component, LogitsProcessor):
        options["processors"] = [component]
    else:
        options["stopping"] = [component]
    options.setdefault("max_new_tokens", _NEW_TOKENS)
    return letters_generator().generate(list(prompts), seed=list(seeds), **options)


def outcome(result: Result) -> list[object]:
    """Return what a result must agree in with another one."""
    return [
        (each.prompt_index, each.sample_index, each.tokens, each.text, each.finish_reason)
        for each in result.completions
    ]


def scripted(result: Result) -> Script:
    """Return a drafter that knows a result."""
    first: dict[int, tuple[int, ...]] = {}
    for each in result.completions:
        first.setdefault(each.prompt_index, each.tokens)
    return Script(lines=tuple(first[prompt] for prompt in sorted(first)))


def suited(component: Component) -> tuple[str, ...]:
    """Return prompts that a component does not refuse; some want a single token.

    Raises:
        OptionError: It refuses both kinds.
    """
    try:
        generate(component)
    except OptionError:
        generate(component, _LETTERS)
        return _LETTERS
    return PROMPTS


def check_drafts_change_nothing(component: Component) -> None:
    """A call with a drafter, right and wrong by turns, says what one without says."""
    prompts = suited(component)
    plain = generate(component, prompts)
    drafted = generate(component, prompts, drafter=scripted(plain))
    message = "another text with a drafter than without"
    promise(outcome(plain) == outcome(drafted), f"{component!r} gives {message}")


def check_a_prompt_alone_is_as_among_others(component: Component) -> None:
    """A prompt's completion is the same alone, among others, and where few fit in at a time."""
    prompts = suited(component)
    together = outcome(generate(component, prompts))
    alone = [
        (number, *found[1:])
        for number, (prompt, seed) in enumerate(zip(prompts, SEEDS, strict=True))
        for found in map(_as_tuple, outcome(generate(component, [prompt], [seed])))
    ]
    few = outcome(generate(component, prompts, batch_size=2))
    promise(together == alone, f"{component!r}: a prompt alone gets another text than among others")
    promise(together == few, f"{component!r}: with batch_size=2 there are other texts")


def check_proposals_change_nothing(drafter: Drafter) -> None:
    """With the drafter a call says what it says without, greedily and drawn, few rows or all."""
    for strategy in ("greedy", "sample"):
        options: dict[str, Any] = {"strategy": strategy, "max_new_tokens": _NEW_TOKENS}
        plain = letters_generator().generate(list(PROMPTS), seed=list(SEEDS), **options)
        for batch_size in (2, 16):
            drafted = generate(drafter, batch_size=batch_size, **options)
            same = outcome(plain) == outcome(drafted)
            where = f'strategy="{strategy}", batch_size={batch_size}'
            promise(same, f"{drafter!r} gives another text than no drafter, with {where}")


def _as_tuple(found: object) -> tuple[object, ...]:
    return found if isinstance(found, tuple) else (found,)
