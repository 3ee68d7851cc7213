"""Plain callables as components: functions of rows, and objects made for transformers.

| parameters | a processor returns | a criterion returns |
| --- | --- | --- |
| `(logits, rows)` | new logits | – |
| `(rows)` | – | one bool, or a bool tensor with one for each row |
| `input_ids, scores`, by these names | new scores | the same |

In transformers' form rows of equal length are handed in together, unpadded, as int64
`[rows, time]`; criteria get `None` for `scores`. Tensors are copies, so a callable may change
them in place, but it must return its result. A place in the batch says nothing about the prompt:
only transformers' prefix-constrained processor is told the prompt's index. A callable that
remembers something is right for one batch whose rows are neither refilled nor forked; a component
is right always.
"""

import inspect
import re
from collections.abc import Callable, Iterator
from copy import copy
from functools import partial
from typing import TypeGuard

import torch
from torch import Tensor
from typing_extensions import override

from gpt2sdk.components.component import Component, snake_case
from gpt2sdk.components.processor import LogitsProcessor
from gpt2sdk.components.rows import Rows
from gpt2sdk.components.stopping import StoppingCriterion
from gpt2sdk.errors import OptionError, PluginContractError
from gpt2sdk.shapes import History, Logits, Mask

_TRANSFORMERS = {"input_ids": None, "scores": None}
_PREFIX_FUNCTION, _PREFIX_BEAMS = "_prefix_allowed_tokens_fn", "_num_beams"
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class _ByIdentity:
    """Components are equal if their callables are the same: not every object can be hashed."""

    function: Callable[..., object]

    @override
    def __eq__(self, other: object) -> bool:
        # The role counts too: one callable may be a processor and a criterion of one call.
        return type(other) is type(self) and self.function is other.function

    @override
    def __hash__(self) -> int:
        return id(self.function)


class CallableProcessor(_ByIdentity, LogitsProcessor):
    """A callable `(logits, rows)` as a processor.

    Attributes:
        function: Returns new logits for these rows.
    """

    function: Callable[..., object]

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        return _as_logits(self.function(logits.clone(), rows), logits, self.function)


class TransformersProcessor(_ByIdentity, LogitsProcessor):
    """A callable with parameters `input_ids` and `scores` as a processor.

    Attributes:
        function: Returns new scores for rows of one length.
    """

    function: Callable[..., object]

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        result = torch.empty_like(logits)
        for index, history in _by_length(rows):
            part = logits[index]  # a copy
            scores = self.function(input_ids=history, scores=part)
            result[index] = _as_logits(scores, part, self.function)
        return result


class PrefixConstrainedProcessor(_ByIdentity, LogitsProcessor):
    """transformers' prefix-constrained processor, which asks its function about each prompt.

    It takes a row's place in the batch for the prompt's index; here it is given the rows of one
    prompt and length together, and its function the prompt's index.

    Attributes:
        function: The processor.
    """

    function: Callable[..., object]

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        result = torch.empty_like(logits)
        prompts = rows.prompt_index.tolist()
        for places, history in _by_length(rows):
            for prompt in sorted({prompts[place] for place in places}):
                some = [at for at, place in enumerate(places) if prompts[place] == prompt]
                index = [places[at] for at in some]
                part = logits[index]
                scores = self._about(prompt, len(index))(history[some], part)
                result[index] = _as_logits(scores, part, self.function)
        return result

    def _about(self, prompt: int, rows: int) -> Callable[..., object]:
        """A copy of the processor for so many rows of this prompt."""
        allowed = vars(self.function)[_PREFIX_FUNCTION]
        about = copy(self.function)
        vars(about).update(
            {
                _PREFIX_FUNCTION: lambda _, tokens: allowed(prompt, tokens),
                _PREFIX_BEAMS: rows,
            }
        )
        return about


class CallableCriterion(_ByIdentity, StoppingCriterion):
    """A callable `(rows)` as a stopping criterion.

    Attributes:
        function: Returns which of these rows end, as one bool or a bool tensor.
    """

    function: Callable[..., object]

    @override
    def check(self, rows: Rows) -> Mask:
        return _as_mask(self.function(rows), rows, self.function)


class TransformersCriterion(_ByIdentity, StoppingCriterion):
    """A callable with parameters `input_ids` and `scores` as a stopping criterion.

    Attributes:
        function: Returns which of these rows, all of one length, end; `scores` is `None`.
    """

    function: Callable[..., object]

    @override
    def check(self, rows: Rows) -> Mask:
        result = torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
        for index, history in _by_length(rows):
            result[index] = _as_mask(self._ask(history), history, self.function)
        return result

    def _ask(self, history: History) -> object:
        try:
            return self.function(input_ids=history, scores=None)
        except (TypeError, AttributeError) as error:
            if "NoneType" not in str(error):
                raise
            message = (
                f"{self.function!r} raised {type(error).__name__}: {error}. A criterion's scores "
                "are None, as in transformers without output_scores: judge the tokens, or let a "
                "processor, which sees the logits, force an end token"
            )
            raise PluginContractError(message) from error


def as_processor(function: object, option: str = "processors") -> LogitsProcessor:
    """Wrap a callable as a processor.

    Args:
        function: What is to be called.
        option: Where it was given, for the message.

    Raises:
        OptionError: It takes other parameters than `(logits, rows)` or `(input_ids, scores)`.

    >>> as_processor(lambda logits, rows: logits / 2)
    CallableProcessor(function=<function <lambda> at ...>)
    """
    if _is_prefix_constrained(function):
        return PrefixConstrainedProcessor(function=function)
    if _takes_ids(function):
        return TransformersProcessor(function=function)
    if _takes_rows(function, 2):
        return CallableProcessor(function=function)
    raise _refusal(function, option, "a processor", "(logits, rows)")


def as_criterion(function: object, option: str = "stopping") -> StoppingCriterion:
    """Wrap a callable as a stopping criterion; its reason is `custom`.

    Args:
        function: What is to be called.
        option: Where it was given, for the message.

    Raises:
        OptionError: It takes other parameters than `(rows)` or `(input_ids, scores)`.
    """
    if _takes_ids(function):
        return TransformersCriterion(function=function)
    if _takes_rows(function, 1):
        return CallableCriterion(function=function)
    raise _refusal(function, option, "a stopping criterion", "(rows)")


def name_of(component: Component) -> str:
    """Return what a component is called; a wrapped callable has its function's or class's name.

    >>> name_of(as_processor(lambda logits, rows: logits))
    'lambda'
    """
    if not isinstance(component, _ByIdentity):
        return component.name
    function = component.function
    while isinstance(function, partial):
        function = function.func
    name = getattr(function, "__name__", type(function).__name__)
    return re.sub(r"\W+", "_", snake_case(name)).strip("_")


def _is_prefix_constrained(function: object) -> TypeGuard[Callable[..., object]]:
    """Whether it is the one processor of transformers that uses its place in the batch.

    Raises:
        OptionError: It is, but of a version that cannot be told which prompt a row is of.
    """
    kinds = [(kind.__module__.split(".")[0], kind.__name__) for kind in type(function).__mro__]
    if ("transformers", "PrefixConstrainedLogitsProcessor") not in kinds:
        return False
    if {_PREFIX_FUNCTION, _PREFIX_BEAMS} <= vars(function).keys():
        return True
    raise OptionError(
        "processors has a PrefixConstrainedLogitsProcessor of an unknown version of transformers: "
        "give a function (logits, rows), which finds the prompts in rows.prompt_index",
        name="processors",
        value=function,
    )


def _takes_rows(function: object, count: int) -> TypeGuard[Callable[..., object]]:
    """Whether a callable takes so many positional arguments, under names that are its own."""
    signature = _signature(function)
    if signature is None or signature.parameters.keys() & _TRANSFORMERS.keys():
        return False
    positional = [each for each in signature.parameters.values() if each.kind in _POSITIONAL]
    return len(positional) >= count and _binds(partial(signature.bind, *[None] * count))


def _takes_ids(function: object) -> TypeGuard[Callable[..., object]]:
    """Whether a callable takes `input_ids` and `scores`, and needs nothing else."""
    signature = _signature(function)
    if signature is None or not _TRANSFORMERS.keys() <= signature.parameters.keys():
        return False
    return _binds(partial(signature.bind, **_TRANSFORMERS))


def _signature(function: object) -> inspect.Signature | None:
    """Return what a callable takes; `None` for what cannot be called, or not be looked into."""
    if inspect.isclass(function) or not callable(function):
        return None
    try:
        return inspect.signature(function)
    except ValueError:
        return None


def _binds(bind: Callable[[], object]) -> bool:
    """Whether arguments fit."""
    try:
        bind()
    except TypeError:
        return False
    return True


def _refusal(function: object, option: str, role: str, form: str) -> OptionError:
    """The error for what cannot be wrapped."""
    if inspect.isclass(function):
        message = f"{option} has the class {function.__name__}: give an instance of it"
    else:
        signature = _signature(function)
        got = repr(function) if signature is None else f"{function!r}, which takes {signature}"
        message = (
            f"{option} takes components and callables: {role} takes {form}, or parameters named "
            f"input_ids and scores, got {got}"
        )
    return OptionError(message, name=option, value=function, expected=form)


def _by_length(rows: Rows) -> Iterator[tuple[list[int], History]]:
    """Group rows of one length, each group with its unpadded tokens."""
    groups: dict[int, list[int]] = {}
    for place, history in enumerate(rows.histories()):
        groups.setdefault(len(history), []).append(place)
    tokens = rows.tokens
    for length, index in groups.items():
        yield index, tokens[index, :length]


def _as_logits(result: object, logits: Logits, function: object) -> Logits:
    """Check what a processor's callable returned."""
    if isinstance(result, Tensor) and result.shape == logits.shape:
        return result
    got = f"shape {tuple(result.shape)}" if isinstance(result, Tensor) else repr(result)
    raise PluginContractError(
        f"{function!r} must return logits of shape {tuple(logits.shape)}, it returned {got}"
    )


def _as_mask(result: object, rows: Rows | History, function: object) -> Mask:
    """Check what a criterion's callable returned, one bool for all rows or one for each."""
    if isinstance(result, bool):
        return torch.full((len(rows),), result, device=rows.device)
    if isinstance(result, Tensor) and result.dtype == torch.bool:
        if result.shape in ((), (len(rows),)):
            return result.expand(len(rows))
        result = f"shape {tuple(result.shape)}"
    raise PluginContractError(
        f"{function!r} must return a bool or {len(rows)} of them in a tensor, it returned {result}"
    )
