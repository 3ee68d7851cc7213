"""What strategies give to the verbs, checked."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gpt2sdk.components.rows import Board
from gpt2sdk.errors import PluginContractError
from gpt2sdk.pipeline import find_fault
from gpt2sdk.shapes import Logits


def whole_numbers(numbers: Tensor | Sequence[int], verb: str) -> list[int]:
    """What a verb was given, as a list.

    Raises:
        PluginContractError: It is not a list of whole numbers, nor a tensor of one axis.
    """
    listed = numbers.tolist() if isinstance(numbers, Tensor) else list(numbers)
    if not isinstance(listed, list) or not all(isinstance(each, int) for each in listed):
        message = f"{verb} was given {numbers!r:.80}, expected whole numbers along one axis"
        raise PluginContractError(message)
    return listed


def check_rows(board: Board, count: int, verb: str) -> None:
    """Make sure that a verb was given something for each row.

    Raises:
        PluginContractError: It is for more or fewer rows.
    """
    if count != len(board.rows):
        message = f"{verb} was given {count} rows, expected {len(board.rows)}"
        raise PluginContractError(message)


def number_each(board: Board, numbers: Tensor | Sequence[int], verb: str) -> list[int]:
    """What a verb was given: one whole number for each row.

    Raises:
        PluginContractError: It is something else.
    """
    listed = whole_numbers(numbers, verb)
    check_rows(board, len(listed), verb)
    return listed


def check_logits(board: Board, logits: Logits, places: Sequence[int], strategy: str) -> None:
    """Make sure that a token can be chosen for each of these rows.

    Raises:
        PluginContractError: The strategy gave `choose` NaN, infinity, or nothing but -inf.
    """
    finite = torch.isfinite(logits.amax(-1)).tolist()
    for place in places:
        if not finite[place]:
            prompt, fault = board.rows[place].prompt.index, find_fault(logits[place : place + 1])
            message = (
                f"{strategy} gave choose a row of prompt {prompt} with {fault}: give it what "
                "session.process returned, or finite logits"
            )
            raise PluginContractError(message, plugin=strategy)
