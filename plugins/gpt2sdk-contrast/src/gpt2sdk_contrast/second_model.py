"""Second models: what users write for one, found or loaded, and whether it fits the session."""

from threading import Lock
from typing import Annotated
from weakref import WeakKeyDictionary

import torch
from pydantic import BeforeValidator, InstanceOf, WithJsonSchema

from gpt2sdk import CausalLM, Generator, OptionError, Session, continuation_text


def _is_model(written: object) -> object:
    """A union's own message would name one of its types only."""
    if isinstance(written, str) and written:
        return str(written)
    if isinstance(written, CausalLM | Generator):
        return written
    raise ValueError("should be a model, a Generator, or the name or folder of a model")


SecondModel = Annotated[
    str | InstanceOf[CausalLM] | InstanceOf[Generator],
    BeforeValidator(_is_model),
    WithJsonSchema({"type": "string"}),
]
"""A model on any device, a generator, or a name that `Generator.from_pretrained` knows."""


def example_model() -> CausalLM:
    """Return a model to try components with: without weights, with the tokens of the checks."""
    from gpt2sdk.testing import TableModel  # noqa: PLC0415 - the checks' tools, not of every call

    return TableModel(29, seed=5, context_length=4096)


_LOADED: WeakKeyDictionary[CausalLM, dict[str, Generator]] = WeakKeyDictionary()
_LOADING = Lock()


def second_model(written: str | CausalLM | Generator, session: Session, option: str) -> CausalLM:
    """Return the model that a user wrote.

    What is named is loaded onto the session's device, once for each model that it stands beside,
    and kept as long as that.

    Raises:
        CheckpointError: There is no such model.
        OptionError: Its tokens are not those of the session's model.
    """
    if isinstance(written, str):
        written = _loaded(written, session)
    if isinstance(written, Generator):
        _check_tokens(written, session, option)
        written = written.model
    sizes = written.vocab_size, session.model.vocab_size
    if sizes[0] != sizes[1]:
        raise _unlike(option, f"a vocabulary of {sizes[0]} tokens", f"one of {sizes[1]}")
    return written


def _loaded(name: str, session: Session) -> Generator:
    # Sessions begin in inference mode, and weights that are made there could not be used outside.
    with _LOADING, torch.inference_mode(mode=False):
        beside = _LOADED.setdefault(session.model, {})
        if name not in beside:
            beside[name] = Generator.from_pretrained(name, device=session.device)
        return beside[name]


def _check_tokens(generator: Generator, session: Session, option: str) -> None:
    """Compare what ids mean; sizes are compared of models."""
    mine, theirs = session.vocabulary, generator.tokenizer
    ids = list(range(min(generator.model.vocab_size, session.model.vocab_size)))
    if mine is theirs or mine.decode(ids) == theirs.decode(ids):
        return
    spelled = ((continuation_text(mine, [each]), continuation_text(theirs, [each])) for each in ids)
    other = next((each for each, (one, two) in enumerate(spelled) if one != two), ids[-1])
    found = f"{continuation_text(theirs, [other])!r} for token {other}"
    raise _unlike(option, found, repr(continuation_text(mine, [other])))


def _unlike(option: str, found: str, expected: str) -> OptionError:
    return OptionError(
        f"{option} has {found}, expected {expected} as the model it stands beside: "
        "both must have the same tokens",
        name=option,
        expected=expected,
    )
