"""The beginning of a call: its prompts get seeds and room, and become requests."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

import torch

from gpt2sdk.components.causal_lm import CausalLM
from gpt2sdk.components.language import Language
from gpt2sdk.components.quantizer import Quantizer
from gpt2sdk.errors import OptionError
from gpt2sdk.generator.call import Call
from gpt2sdk.generator.marking import public_key
from gpt2sdk.generator.prompts import Encoded, check_processors, cut_back, plan_prompts
from gpt2sdk.mention import argument
from gpt2sdk.options import Composition, Preset, json_ready, record, spelled
from gpt2sdk.plugins.registry import Registry
from gpt2sdk.session.engine import Engine
from gpt2sdk.session.prefix_cache import PrefixCache


class Runtime(Protocol):
    """What a call asks of a `Generator`, whose attributes these are."""

    model: CausalLM
    tokenizer: Language
    eos_token_ids: frozenset[int]
    registry: Registry

    @property
    def model_identity(self) -> Mapping[str, object]:
        """What tells the model from others."""

    @property
    def prefixes(self) -> PrefixCache | None:
        """What single calls keep of what was read."""

    def engine(self, *, batch_size: int = 32, prefix_cache: bool = True) -> Engine:
        """Return an engine for this call or many."""


def begin(
    runtime: Runtime,
    encoded: Sequence[Encoded],
    composition: Composition,
    *,
    engine: Engine | None,
    streaming: bool,
    cancelled: Callable[[], bool],
) -> Call:
    """Return a call that is to be submitted.

    Args:
        runtime: What runs it.
        encoded: Its prompts.
        composition: What its options come to, for as many prompts; its end tokens may be open.
        engine: What runs it, shared with other calls; one of its own by default.
        streaming: Whether its text is wanted as it becomes certain.
        cancelled: Asked before each model call whether it is to end.

    Raises:
        OptionError: An end token is none of the model's tokens, or a component refuses a prompt.
        ContextOverflowError: A prompt, or what it may grow by, does not fit the window.
    """
    _check_end_tokens(composition, runtime.model.vocab_size)
    composition = composition.ending_at(runtime.eos_token_ids)
    cuts = cut_back(encoded, composition, runtime.tokenizer, runtime.model.vocab_size)
    prompts = plan_prompts(encoded, composition, runtime.model.context_length, cuts)
    check_processors(prompts, composition)
    rooms = [prompt.max_new_tokens for prompt in prompts]
    room = rooms[0] if len(set(rooms)) == 1 else rooms
    in_force = {**composition.in_force, "max_new_tokens": room}
    recorded = record(
        composition,
        in_force,
        runtime.registry,
        model=runtime.model_identity,
        versions=runtime_versions(),
        row_seeds=[prompt.seed for prompt in prompts],
    )
    if own := engine is None:
        keeps = runtime.prefixes is not None
        engine = runtime.engine(batch_size=composition.batch_size, prefix_cache=keeps)
    return Call(
        engine,
        composition.requests(prompts, streaming=streaming, cancelled=cancelled),
        in_force,
        recorded,
        partial(runtime.registry.host.notify, "gpt2sdk_generation_finished"),
        notes=_notes(composition),
        owns_engine=own,
    )


def _notes(composition: Composition) -> tuple[str, ...]:
    """Say what whoever called should know of the parts of a call, each thing once."""
    found: list[object] = [lead.sampler for lead in composition.leads]
    found += [component for entry in composition.entries for component in entry.components]
    return tuple(dict.fromkeys(note for each in found for note in public_key(each)))


def check_model(runtime: Runtime, preset: Preset) -> None:
    """Make sure that a record is of a call of this model.

    Raises:
        OptionError: It is another model's.
    """
    if preset.record is None:
        return
    recorded = preset.record.model
    own = runtime.model_identity
    others = [
        f"{key} is {recorded[key]!r} there and {own[key]!r} here"
        for key in own
        if key != "name" and recorded.get(key, own[key]) != own[key]
    ]
    if others:
        named = f" {recorded['name']!r}" if recorded.get("name") else ""
        ways = [f"for its options alone, give {argument('config')} what it has as options"]
        if loaded := _as_loaded(recorded, own, runtime.registry):
            ways.insert(0, f"load the model as it was, {loaded}")
        message = (
            f"the record is of a call of another model{named}: {', '.join(others)}; "
            f"{'; or '.join(ways)}"
        )
        raise OptionError(message, name="config", value=dict(recorded))


def _as_loaded(
    recorded: Mapping[str, object], own: Mapping[str, object], registry: Registry
) -> str:
    """Say how the model of a record was loaded, where it was otherwise; else nothing."""
    quantization, dtype = recorded.get("quantization"), recorded.get("dtype")
    if quantization != own.get("quantization") and "quantization" in recorded:
        if not isinstance(quantization, Mapping):
            return f"without {argument('quantization')}"
        name = str(quantization.get("name"))
        offers = registry.named(name, Quantizer)
        usual = offers[0].component.model_fields if offers else {}
        settings = [
            argument(option, value)
            for option, value in quantization.items()
            if option != "name"
            and (option not in usual or json_ready(usual[option].default) != value)
        ]
        beside = f" and {' '.join(settings)}" if settings else ""
        return f"with {argument('quantization', name)}{beside}"
    if isinstance(dtype, str) and dtype != own.get("dtype"):
        return f"with {argument('dtype', dtype)}"
    return ""


def runtime_versions() -> dict[str, str]:
    """Return the versions of what a result depends on besides the parts of its call."""
    return {"torch": str(torch.__version__)}


def check_engine(engine: object, model: CausalLM, options: Mapping[str, object]) -> None:
    """Make sure that a call can be given an engine.

    Raises:
        OptionError: It is none, or of another model; or the call says how many rows run at a time,
            which is the engine's to say.
    """
    if not isinstance(engine, Engine) or engine.model is not model:
        message = f"engine is {engine!r:.60}, expected what this generator's engine() returned"
        raise OptionError(message, name="engine", value=engine)
    if any(spelled(name) == "batch_size" for name in options):
        message = "batch_size is the engine's: give it to gen.engine(batch_size=…)"
        raise OptionError(message, name="batch_size", value=options.get("batch_size"))


def _check_end_tokens(composition: Composition, vocab_size: int) -> None:
    """Refuse end tokens that a call gives and the model does not have."""
    beyond = [token for token in composition.eos_token_ids or () if token >= vocab_size]
    if beyond:
        message = f"eos_token_id {beyond[0]} is no token: expected an id below {vocab_size}"
        raise OptionError(message, name="eos_token_id", value=beyond[0])
