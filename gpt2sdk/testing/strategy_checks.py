"""Checks of strategies: rows are strangers, streams are certain, and what it declares is true."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from typing_extensions import override

from gpt2sdk.components.processor import LogitsProcessor, Stage
from gpt2sdk.components.records import Result
from gpt2sdk.components.rows import Rows
from gpt2sdk.components.strategy import Strategy
from gpt2sdk.errors import OptionError
from gpt2sdk.shapes import Logits
from gpt2sdk.testing.generation_checks import (
    PROMPTS,
    SEEDS,
    generate,
    letters_generator,
    outcome,
)
from gpt2sdk.testing.promise import promise

_BANNED = tuple(range(0, 28, 2))
_NEW_TOKENS = 12
_OTHER_SEEDS = (11, 12, 13, 14)


class Ban(LogitsProcessor):
    """Rules tokens out, to see whether a strategy minds the call's processors."""

    stage: ClassVar[Stage] = Stage.CONSTRAIN

    banned: Annotated[tuple[int, ...], Field(description="The tokens.")] = ()

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        out = torch.tensor(self.banned, dtype=torch.int64, device=logits.device)
        return logits.index_fill(1, out, -torch.inf)


def check_it_comes_to_an_end(strategy: Strategy) -> None:
    """Each prompt gets its completions, of `max_new_tokens` tokens at most, with a reason."""
    result = generate(strategy, max_new_tokens=_NEW_TOKENS)
    prompts = [each.prompt_index for each in result.completions]
    promise(
        prompts == list(range(len(PROMPTS))), f"{strategy!r} gives completions of prompts {prompts}"
    )
    for each in result.completions:
        promise(len(each.tokens) <= _NEW_TOKENS, f"{strategy!r} appends {len(each.tokens)} tokens")
        promise(each.finish_reason != "error", f"{strategy!r} ends a row with an error")


def check_several_completions_are_given(strategy: Strategy) -> None:
    """With `num_return_sequences=2` each prompt has two completions, numbered 0 and 1.

    Fewer where a strategy finds no more: an answer that all agree on has no second. One that can
    only make one refuses the option.
    """
    result = _several(strategy, 2)
    if result is None:
        return
    for prompt in range(len(PROMPTS)):
        numbers = [e.sample_index for e in result.completions if e.prompt_index == prompt]
        right = numbers == list(range(len(numbers))) and 1 <= len(numbers) <= 2
        promise(right, f"{strategy!r} numbers the completions of prompt {prompt} {numbers}")


def check_streams_are_what_is_generated(strategy: Strategy) -> None:
    """What is streamed, joined, is what `generate` returns: nothing certain is taken back."""
    options: dict[str, Any] = {
        "strategy": strategy,
        "seed": list(SEEDS),
        "max_new_tokens": _NEW_TOKENS,
    }
    expected = letters_generator().generate(list(PROMPTS), **options).texts
    joined = [""] * len(PROMPTS)
    for delta in letters_generator().stream(list(PROMPTS), **options):
        joined[delta.prompt_index] += delta.text
    promise(joined == expected, f"{strategy!r} streams {joined}, and generates {expected}")


def check_processors_are_minded(strategy: Strategy) -> None:
    """A token that the call's processors rule out is never said."""
    result = generate(strategy, processors=[Ban(banned=_BANNED)], max_new_tokens=_NEW_TOKENS)
    said = sorted({t for each in result.completions for t in each.tokens} & set(_BANNED))
    promise(not said, f"{strategy!r} says {said}, which a processor rules out: use session.process")


def check_end_tokens_end(strategy: Strategy) -> None:
    """Nothing is appended behind an end token."""
    vocabulary = range(letters_generator().model.vocab_size)
    ends = list(vocabulary[::4])
    result = generate(strategy, eos_token_id=ends, max_new_tokens=_NEW_TOKENS)
    for each in result.completions:
        behind = [token for token in each.tokens[:-1] if token in ends]
        promise(not behind, f"{strategy!r} goes on behind the end token {behind}")


def check_equal_seeds_give_equal_texts(strategy: Strategy) -> None:
    """The same seeds give the same texts; global random numbers are neither used nor touched."""
    torch_state = torch.get_rng_state()
    first = outcome(generate(strategy, max_new_tokens=_NEW_TOKENS))
    untouched = torch.equal(torch_state, torch.get_rng_state())
    promise(untouched, f"{strategy!r} draws global random numbers: use the session's")
    try:
        torch.manual_seed(1)
        again = outcome(generate(strategy, max_new_tokens=_NEW_TOKENS))
    finally:
        torch.set_rng_state(torch_state)
    promise(first == again, f"{strategy!r} gives another text the second time")


def check_what_draws_says_so(strategy: Strategy) -> None:
    """With `draws=False` the seed makes no difference."""
    if strategy.draws:
        return
    first, other = (_texts(strategy, seeds) for seeds in (SEEDS, _OTHER_SEEDS))
    promise(first == other, f"{strategy!r} declares draws=False, and its texts depend on the seed")


def check_independent_rows_are(strategy: Strategy) -> None:
    """With `rows_independent=True` several completions are the single ones of their lanes.

    The first of three is what is made where one is asked for.
    """
    if not strategy.rows_independent:
        return
    one, three = generate(strategy, max_new_tokens=_NEW_TOKENS), _several(strategy, 3)
    if three is None:
        return
    first = [each.tokens for each in three.completions if each.sample_index == 0]
    alike = [each.tokens for each in one.completions] == first
    message = "declares rows_independent=True, and rows change with their number"
    promise(alike, f"{strategy!r} {message}")


def _several(strategy: Strategy, count: int) -> Result | None:
    """Ask for several completions of each prompt; `None` where that is refused by name."""
    try:
        return generate(strategy, num_return_sequences=count, max_new_tokens=_NEW_TOKENS)
    except OptionError as error:
        if error.name == "num_return_sequences":
            return None
        raise


def _texts(strategy: Strategy, seeds: Sequence[int]) -> list[object]:
    return outcome(generate(strategy, seeds=seeds, max_new_tokens=_NEW_TOKENS))
