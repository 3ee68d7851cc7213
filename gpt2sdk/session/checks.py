"""Checks: of what strategies hand to the verbs, and of what components hand back, row by row."""

import math
from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from gpt2sdk.components.records import Failure, FinishReason, Prompt, Row
from gpt2sdk.components.rows import Rows
from gpt2sdk.errors import (
    ContextOverflowError,
    GPT2SDKError,
    OptionError,
    PluginContractError,
    TokenizerError,
)
from gpt2sdk.race import NO_TOKEN
from gpt2sdk.shapes import Logits

Made = TypeVar("Made")

BAD_INPUT = (OptionError, TokenizerError, ContextOverflowError)
"""Errors that say that the call is wrong, not a row."""

NOTHING_LEFT = "no token to choose from"


def layer_number(layer: int, layers: int, owner: str) -> int:
    """Return a layer's number, counted from the first.

    Args:
        layer: Its number; −1 is the last.
        layers: The last one's number.
        owner: What named it.

    Raises:
        OptionError: There is no such layer.

    Example:
        >>> layer_number(-1, 12, "hidden_history"), layer_number(3, 12, "hidden_history")
        (12, 3)
    """
    number = layer + layers + 1 if layer < 0 else layer
    if not 0 <= number <= layers:
        what = f"a layer from 0 to {layers}, or from -1, the last, to {-layers - 1}"
        message = f"{owner} of layer {layer}: expected {what}"
        raise OptionError(message, name="layer", value=layer, expected=what)
    return number


def check_room(prompt: Prompt, length: int, limit: int, *, slide: bool) -> None:
    """Make sure that a prompt's rows can grow as far as they may.

    Args:
        prompt: The prompt.
        length: What stands before the new tokens: the prompt itself, or a mirror's own one.
        limit: The model's context window, in tokens. The last new token is never fed to it.
        slide: Whether full rows go on with their last half.

    Raises:
        ContextOverflowError: There is nothing to start from, or no room to grow.
    """
    what = "prompt" if length == len(prompt.tokens) else "the mirrored prompt of prompt"
    if not length:
        message = f"{what} {prompt.index} is empty: expected at least one token to continue from"
    elif slide or length + prompt.max_new_tokens <= limit + 1:
        return
    else:
        message = (
            f"{what} {prompt.index} has {length} tokens and may grow by {prompt.max_new_tokens}, "
            f"but the window is {limit}: shorten it, lower max_new_tokens, or set "
            'overflow="slide"'
        )
    raise ContextOverflowError(message, prompt_tokens=length, limit=limit)


def check_prefix(prompt: Prompt, prefix: Sequence[int], vocab_size: int) -> None:
    """Make sure that a model knows the tokens that stand before a prompt's new ones.

    Raises:
        OptionError: One is none of its tokens.
    """
    beyond = [token for token in (min(prefix), max(prefix)) if not 0 <= token < vocab_size]
    if beyond:
        what = "prompt" if prefix is prompt.tokens else "the mirrored prompt of prompt"
        expected = f"ids from 0 to {vocab_size - 1}"
        message = f"{what} {prompt.index} has token {beyond[0]}: expected {expected}"
        raise OptionError(message, value=beyond[0], expected=expected)


def formed(after: object, before: Logits, processor: str) -> Logits:
    """Check the form of what a processor returned.

    Raises:
        PluginContractError: It is no floating point tensor of the same shape.
    """
    if not isinstance(after, torch.Tensor):
        wrong = f"{type(after).__name__}, expected a tensor"
    elif not after.is_floating_point():
        wrong = f"{after.dtype}, expected a floating point type"
    elif after.shape != before.shape:
        wrong = f"shape {tuple(after.shape)}, expected {tuple(before.shape)}"
    else:
        return after
    raise PluginContractError(f"{processor} returned {wrong}", plugin=processor)


def find_fault(logits: Logits) -> str | None:
    """Say what is wrong with a row's logits; nothing, if a token can be chosen."""
    peak = float(logits.amax())
    if math.isfinite(peak):
        return None
    return "NaN" if math.isnan(peak) else "infinity" if peak > 0 else NOTHING_LEFT


def one_by_one(
    rows: Rows,
    error: Exception,
    act: Callable[[int, Rows], Made],
    *,
    everywhere: bool = True,
    blamed: Collection[int] | None = None,
) -> tuple[dict[int, Made], dict[int, Exception]]:
    """Find out for which rows a component raises: it has no side effects, so it is tried on each.

    Args:
        rows: The rows it raised for.
        error: What it raised.
        act: Lets it act on one row, given where the row stands among them.
        everywhere: Whether it acts on every request of the session, those that wait included.
        blamed: The rows that fail if it raises for none alone, where the rows it does not act on
            are of other calls; `None` where there are none.

    Returns:
        What it made of rows, and what it raised for others, by where they stand.

    Raises:
        Exception: The error itself where it acts everywhere, and it is nothing of single rows: it
            says that the call is wrong, is raised for every row of several prompts, or for no row
            alone and nobody is blamed.
    """
    if everywhere and isinstance(error, BAD_INPUT):
        raise error
    if len(rows) == 1:
        return {}, {0: error}
    made: dict[int, Made] = {}
    raised: dict[int, Exception] = {}
    for at in range(len(rows)):
        try:
            made[at] = act(at, rows.select([at]))
        except Exception as each:  # noqa: BLE001 - becomes the row's failure
            raised[at] = each
    prompts = {row.prompt for row in rows.records}
    if not raised and blamed is not None:
        raised = dict.fromkeys(blamed, error)
        made = {at: each for at, each in made.items() if at not in raised}
    elif not raised or (everywhere and not made and len(prompts) > 1):
        raise error
    return made, raised


def raising(name: str, error: Exception) -> Failure:
    """Say of a row that a component raised for it."""
    raised = f"{name} raised {type(error).__name__}: {error}"
    return Failure(name, str(error) if isinstance(error, GPT2SDKError) else raised, error)


def whole_numbers(numbers: Tensor | Sequence[int], verb: str) -> list[int]:
    """What a verb was given, as a list.

    Raises:
        PluginContractError: It is not a list of whole numbers, nor a tensor of one axis.
    """
    if isinstance(numbers, Tensor):
        whole = numbers.ndim == 1 and not (numbers.is_floating_point() or numbers.is_complex())
        listed = numbers.tolist()
    else:
        listed = list(numbers)
        whole = all(isinstance(each, int) for each in listed)
    if not whole:
        message = f"{verb} was given {numbers!r:.80}, expected whole numbers along one axis"
        raise PluginContractError(message)
    return listed


def check_count(count: int, rows: int, verb: str) -> None:
    """Make sure that there is one of something for each row.

    Raises:
        PluginContractError: There are more or less.
    """
    if count != rows:
        message = f"{verb} was given {count} rows, expected {rows}"
        raise PluginContractError(message)


def check_tokens(tokens: Sequence[int], vocab_size: int) -> None:
    """Make sure that these are tokens, or -1.

    Raises:
        PluginContractError: One is not.
    """
    if NO_TOKEN in tokens:
        message = f"row {tokens.index(NO_TOKEN)} had no token to draw: its logits were all -inf"
        raise PluginContractError(f"{message}, or some were NaN or infinite")
    if max(tokens, default=-1) >= vocab_size or min(tokens, default=0) < -1:
        message = f"append was given {tokens}, expected -1 to {vocab_size - 1}"
        raise PluginContractError(message)


def check_seats(seats: Sequence[int], rows: int, verb: str) -> None:
    """Make sure that rows sit there.

    Raises:
        PluginContractError: One is not.
    """
    if any(not 0 <= seat < rows for seat in seats):
        message = f"{verb} was given {seats}, expected rows, 0 to {rows - 1}"
        raise PluginContractError(message)


def check_reason(reason: FinishReason) -> None:
    """Make sure that a strategy may end rows for this reason.

    Raises:
        PluginContractError: It is no word, or `"error"`.
    """
    if not isinstance(reason, str) or not reason or reason == "error":
        message = (
            f"finish was given the reason {reason!r}, expected a word such as 'strategy'; a row "
            "that something is wrong with ends by itself"
        )
        raise PluginContractError(message)


def check_rewind(seat: int, row: Row, count: int, hold: int | None) -> None:
    """Make sure that a row may take so many tokens back.

    Raises:
        PluginContractError: They reach into the prompt, or behind text that was certain.
    """
    if not 0 <= count <= row.grown:
        message = f"row {seat} has {row.grown} new tokens, {count} cannot be taken back"
        raise PluginContractError(message)
    if not count or hold is None:
        return
    certain = row.peak - hold
    if row.grown - count < certain or row.handed:
        message = (
            f"row {seat} takes back {count} tokens, but its text was certain up to token "
            f"{certain}: declare @strategy(hold={row.peak - row.grown + count}) or more"
        )
        raise PluginContractError(message)


def check_logits(rows: Sequence[Row], logits: Logits, seats: Sequence[int], strategy: str) -> None:
    """Make sure that a token can be chosen for each of these rows.

    Raises:
        PluginContractError: The strategy gave `choose` NaN, infinity, or nothing but -inf.
    """
    finite = torch.isfinite(logits.amax(-1)).tolist()
    for seat in seats:
        if not finite[seat]:
            prompt, fault = rows[seat].prompt.index, find_fault(logits[seat : seat + 1])
            message = (
                f"{strategy} gave choose a row of prompt {prompt} with {fault}: give it what "
                "session.process returned, or finite logits"
            )
            raise PluginContractError(message, plugin=strategy)


def check_scores(rows: Sequence[int], scores: Sequence[float], strategy: str) -> None:
    """Make sure that there is a score for each row.

    Raises:
        PluginContractError: There are more or less.
    """
    if len(rows) != len(scores):
        message = f"submit was given {len(rows)} rows and {len(scores)} scores"
        raise PluginContractError(message, plugin=strategy)


def check_score(seat: int, score: float, rows: int) -> None:
    """Make sure that a row can be submitted with a score.

    Raises:
        PluginContractError: There is no such row, or the score is no finite number.
    """
    if not 0 <= seat < rows or not math.isfinite(score):
        message = (
            f"submit was given row {seat} with score {score}, expected rows 0 to {rows - 1} and "
            "finite scores"
        )
        raise PluginContractError(message)


def check_completions(strategy: str, count: int, wanted: int, prompt: int) -> None:
    """Make sure that a strategy that handed nothing in grew as many rows as are wanted.

    Raises:
        PluginContractError: It grew more or less.
    """
    if count == wanted:
        return
    message = (
        f"{strategy} grew {count} of {wanted} completions of prompt {prompt}: it has to fork the "
        "row itself, or to be rows_independent"
    )
    if count > wanted:
        message = (
            f"{strategy} ends with {count} rows of prompt {prompt}, of which {wanted} completions "
            "are wanted: it has to submit the best, or to fork down to them"
        )
    raise PluginContractError(message, plugin=strategy)
