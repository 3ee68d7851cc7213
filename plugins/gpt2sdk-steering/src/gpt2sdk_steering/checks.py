"""What potentials promise, as a check to run on one."""

import math
from collections.abc import Iterator, Sequence

import torch

from gpt2sdk import Prompt, Vocabulary
from gpt2sdk.testing import Letters
from gpt2sdk_steering.continuation import Continuation
from gpt2sdk_steering.potential import Potential

_NEAR = 1e-4


def check_potential(
    potential: Potential,
    texts: Sequence[str],
    *,
    vocabulary: Vocabulary | None = None,
    eos_token_ids: Sequence[int] = (),
) -> None:
    """Check that the weights of a potential agree, on some texts and all their prefixes.

    - Log weights are numbers below infinity.
    - Batches give what single continuations give, in any order.
    - What is ruled out stays ruled out, however it is continued.
    - `next` is what tokens add to `prefix`, and end tokens to `complete`; so a finished text
      weighs what its first prefix and all its tokens do.

    Args:
        potential: What is checked.
        texts: Texts that it should judge differently.
        vocabulary: Text to tokens and back; letters by default.
        eos_token_ids: The tokens that end texts.

    Raises:
        AssertionError: A promise is broken; the message says which, and by what text.
        TypeError: It weighs rows of a session only, not continuations.

    Example:
        >>> from gpt2sdk_steering import TextPotential
        >>> check_potential(TextPotential(lambda text: -float(len(text))), ["king", "a queen"])
    """
    if not potential.knows_texts:
        message = f"{potential!r} weighs rows of a session, and says nothing of continuations"
        raise TypeError(message)
    words = vocabulary or Letters()
    prompt = Prompt(0, (0,), eos_token_ids=frozenset(eos_token_ids))
    every: dict[tuple[int, ...], Continuation] = {}
    for text in texts:
        whole = Continuation(text, tuple(words.encode(text)), prompt, words)
        every |= {each.tokens: each for each in (*whole.prefixes(), whole)}
    some = list(every.values())
    _check_numbers(potential, some)
    _check_batches(potential, some)
    _check_what_is_ruled_out(potential, some)
    if potential.knows_next:
        _check_next(potential, some)


def _check_numbers(potential: Potential, some: Sequence[Continuation]) -> None:
    for each in some:
        for name, weight in (
            ("prefix", potential.prefix(each)),
            ("complete", potential.complete(each)),
        ):
            fine = isinstance(weight, float) and not math.isnan(weight) and weight < math.inf
            _promise(fine, f"{name} gives {weight!r}, expected a float below infinity", each)


def _check_batches(potential: Potential, some: Sequence[Continuation]) -> None:
    back = some[::-1]
    for name, together, alone in (
        ("batch_prefix", potential.batch_prefix(back), potential.prefix),
        ("batch_complete", potential.batch_complete(back), potential.complete),
    ):
        _promise(len(together) == len(back), f"{name} gives {len(together)} of {len(back)} weights")
        for each, weight in zip(back, together, strict=True):
            same = _near(weight, alone(each))
            _promise(same, f"{name} gives {weight}, and alone it is {alone(each)}", each)
    if potential.knows_next:
        for each, line in zip(back, potential.batch_next(back), strict=True):
            same = torch.allclose(line, potential.next(each), atol=_NEAR)
            _promise(same, "batch_next differs from next", each)


def _check_what_is_ruled_out(potential: Potential, some: Sequence[Continuation]) -> None:
    for each in some:
        if any(potential.prefix(prefix) == -math.inf for prefix in each.prefixes()):
            out = potential.prefix(each) == potential.complete(each) == -math.inf
            _promise(out, "has weight, though a prefix of it was ruled out", each)
        if potential.prefix(each) == -math.inf:
            _promise(potential.complete(each) == -math.inf, "is ruled out as a prefix alone", each)


def _check_next(potential: Potential, some: Sequence[Continuation]) -> None:
    for each in some:
        before = potential.prefix(each)
        if before == -math.inf:
            continue
        for token, weight in _expected(potential, each):
            found = float(potential.next(each)[token])
            same = _near(found, weight - before if weight > -math.inf else weight)
            _promise(same, f"next gives token {token} {found}, and weights differ", each)


def _expected(potential: Potential, each: Continuation) -> Iterator[tuple[int, float]]:
    """The log weight after each next token."""
    for token in range(len(potential.next(each))):
        then = each.then(token)
        ends = token in each.prompt.eos_token_ids
        yield token, potential.complete(then) if ends else potential.prefix(then)


def _near(one: float, other: float) -> bool:
    return one == other or abs(one - other) <= _NEAR * max(1.0, abs(one))


def _promise(kept: bool, message: str, where: Continuation | None = None) -> None:  # noqa: FBT001
    if not kept:
        raise AssertionError(message if where is None else f"{where.text!r}: {message}")
