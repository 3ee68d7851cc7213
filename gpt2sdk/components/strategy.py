"""Strategies: how rows grow. A generator function over a session, or a class with `decode`."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Concatenate, Generic, ParamSpec, get_type_hints, overload

from pydantic import create_model
from typing_extensions import override

from gpt2sdk.components.causal_lm import CausalLM
from gpt2sdk.components.component import Component, unwanted
from gpt2sdk.components.preset_rules import COUNT_RULE
from gpt2sdk.components.session import Session, Step

P = ParamSpec("P")
NO_EXAMPLES: Mapping[str, object] = MappingProxyType({})
Hold = int | None
Wants = Iterable[int] | Callable[..., Iterable[int]]
Decoding = Callable[Concatenate[Session, P], Iterator[Step]]
"""A generator function over a session, with options of its own."""


class Strategy(Component):
    """Grows the rows of a session until none is running.

    Attributes:
        rows_independent: A row's growth looks at no other row. Only then are finished rows
            refilled from waiting prompts, are there `num_return_sequences` rows from the start,
            and may a row use up what was scored ahead for it while others wait.
        draws: The strategy draws from the processed distribution; where it does not, options
            that only shape a draw (temperature, truncation) are refused.
        chooses: Tokens are picked by the call's sampler, with `session.choose`. A strategy that
            draws otherwise says no, so that a sampler is refused rather than ignored.
        rewinds: Whether it may take tokens back at all, where `hold` leaves that open. One that
            does not says no, and memory keeps no past values of the rows.
    """

    rows_independent: ClassVar[bool] = False
    draws: ClassVar[bool] = True
    chooses: ClassVar[bool] = True
    rewinds: ClassVar[bool] = True

    def wants(self, model: CausalLM) -> Iterable[int]:
        """Name the layers whose hidden states it reads; none by default.

        Those are the layers of `rows.hidden_states(layer)`, and no others are kept, and of
        `session.hidden_history(layer)`. 0 is the embedding, and −1 the last, `model.layers`. Of a
        strategy that names any, nothing is read before it asks for logits.
        """
        return ()

    def hold(self) -> Hold:
        """How many of a row's last tokens it may still take back, so that their text waits.

        `None` for strategies whose rows are certain only when they are handed in.
        """
        return 0

    def rows_per_prompt(self, num_return_sequences: int = 1) -> int:
        """How many rows of one prompt it may have in memory at a time.

        Servers ask before a call begins whether there is room. By default it is the largest of
        `num_return_sequences` and the options that have the `COUNT_RULE`, as `num_beams` has; a
        strategy of which that is not true says otherwise.
        """
        counts = [
            getattr(self, name)
            for name, field in type(self).model_fields.items()
            if COUNT_RULE in field.metadata
        ]
        return max(num_return_sequences, *(each for each in counts if isinstance(each, int)), 1)

    def decode(self, session: Session) -> Iterator[Step]:
        """Grow the rows, yielding what `session.append` returns."""
        message = f"{type(self).__name__} does not override decode"
        raise TypeError(message)


class StrategyFunction(Generic[P]):
    """A generator function that is a strategy: callable like the function, and a component.

    Attributes:
        component: The component its keyword parameters make.
    """

    def __init__(
        self,
        function: Decoding[P],
        component: type[Strategy],
    ) -> None:
        self.component = component
        self.__name__ = function.__name__
        self.__doc__ = function.__doc__
        self.__wrapped__ = function

    def __call__(self, session: Session, *args: P.args, **options: P.kwargs) -> Iterator[Step]:
        """Run it on a session, its options validated: `yield from sample(session)`."""
        return self.component(*args, **options).decode(session)

    @override
    def __repr__(self) -> str:
        return f"<strategy {self.component.name}>"


@overload
def strategy(function: Decoding[P], /) -> StrategyFunction[P]: ...


@overload
def strategy(
    *,
    rows_independent: bool = False,
    hold: Hold | Callable[..., Hold] = 0,
    draws: bool = True,
    chooses: bool = True,
    rewinds: bool = True,
    wants: Wants = (),
    rows_per_prompt: Callable[..., int] | None = None,
    examples: Mapping[str, object] = NO_EXAMPLES,
) -> Callable[[Decoding[P]], StrategyFunction[P]]: ...


def strategy(  # noqa: PLR0913 - each declares something else
    function: Decoding[P] | None = None,
    /,
    *,
    rows_independent: bool = False,
    hold: Hold | Callable[..., Hold] = 0,
    draws: bool = True,
    chooses: bool = True,
    rewinds: bool = True,
    wants: Wants = (),
    rows_per_prompt: Callable[..., int] | None = None,
    examples: Mapping[str, object] = NO_EXAMPLES,
) -> StrategyFunction[P] | Callable[[Decoding[P]], StrategyFunction[P]]:
    """Make a generator function a strategy of the same name.

    Its keyword-only parameters become the component's options: give each an annotation, best with
    `Annotated[..., Field(ge=..., description=...)]`, and a default.

    Args:
        function: For `@strategy` without arguments.
        rows_independent: See `Strategy`.
        hold: How many last tokens of a row it may take back; a function of the options where it
            depends on them; `None` where rows are certain only when handed in.
        draws: See `Strategy`.
        chooses: See `Strategy`.
        rewinds: See `Strategy`.
        wants: The layers whose hidden states it reads, as `Strategy.wants` names them; or a
            function of those options, and of `model`, that are its parameters.
        rows_per_prompt: A function of those options, and of `num_return_sequences`, that are its
            parameters: how many rows a prompt may have at a time, as in `Strategy`.
        examples: Values of options to check it with, such as functions; see
            `Component.example_options`.
    """

    def decorate(function: Decoding[P]) -> StrategyFunction[P]:
        fields = _fields(function)
        if not callable(wants):
            _check_layers(function.__name__, wants)

        def decode(self: Strategy, session: Session) -> Iterator[Step]:
            options: dict[str, Any] = {name: getattr(self, name) for name in fields}
            return function(session, **options)  # type: ignore[call-arg]

        def held(self: Strategy) -> Hold:
            if not callable(hold):
                return hold
            accepted = inspect.signature(hold).parameters
            return hold(**{name: getattr(self, name) for name in fields if name in accepted})

        def wanted(self: Strategy, model: CausalLM) -> Iterable[int]:
            if not callable(wants):
                return wants
            known = {"model": model, **{name: getattr(self, name) for name in fields}}
            return wants(**{name: known[name] for name in inspect.signature(wants).parameters})

        component = create_model(
            function.__name__, __base__=Strategy, __doc__=inspect.getdoc(function), **fields
        )
        component.__module__ = function.__module__
        component.name = function.__name__
        component.rows_independent = rows_independent
        component.draws = draws
        component.chooses = draws and chooses
        component.rewinds = rewinds
        if examples:
            stated = component.example_options()
            component.example_options = lambda: {**stated, **examples}  # type: ignore[method-assign]
        component.decode = decode  # type: ignore[method-assign]
        component.hold = held  # type: ignore[method-assign]
        component.wants = wanted  # type: ignore[method-assign]
        component.rows_per_prompt = _counting(rows_per_prompt)  # type: ignore[method-assign]
        return StrategyFunction(function, component)

    return decorate if function is None else decorate(function)


def _counting(rows: Callable[..., int] | None) -> Callable[..., int]:
    """Return a method that says how many rows a prompt may have."""
    if rows is None:
        return Strategy.rows_per_prompt
    accepted = [*inspect.signature(rows).parameters]

    def counted(self: Strategy, num_return_sequences: int = 1) -> int:
        known = {**dict(self), "num_return_sequences": num_return_sequences}
        return max(num_return_sequences, rows(**{name: known[name] for name in accepted}))

    return counted


def _check_layers(owner: str, wants: Iterable[int]) -> None:
    if not all(type(each) is int for each in wants):
        raise unwanted(owner, wants, "numbers of layers")


def _fields(function: Callable[..., object]) -> dict[str, Any]:
    """Keyword-only parameters as pydantic field definitions."""
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {}
    for name, parameter in list(inspect.signature(function).parameters.items())[1:]:
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY or name not in hints:
            message = f"{function.__name__}: {name} must be keyword-only and annotated"
            raise TypeError(message)
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        fields[name] = (hints[name], default)
    return fields
