"""Text in, text out: resolves a call's options, runs it, and folds what it streams."""

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import torch
from typing_extensions import override

from gpt2sdk.components.answers import NextToken
from gpt2sdk.components.architecture import Architecture
from gpt2sdk.components.call_record import CallRecord
from gpt2sdk.components.causal_lm import CausalLM
from gpt2sdk.components.language import Language
from gpt2sdk.components.placement import Placement
from gpt2sdk.components.quantizer import Quantizer
from gpt2sdk.components.records import Result
from gpt2sdk.components.runner import Runner
from gpt2sdk.generator.adapter import put_in
from gpt2sdk.generator.answering import answering
from gpt2sdk.generator.awaited import Awaited
from gpt2sdk.generator.beginning import begin, check_engine, check_model
from gpt2sdk.generator.call import Call
from gpt2sdk.generator.converser import Converser
from gpt2sdk.generator.decoder import decoder_of
from gpt2sdk.generator.examiner import Examiner
from gpt2sdk.generator.identity import Identity
from gpt2sdk.generator.load_words import LOADS_ELSEWHERE
from gpt2sdk.generator.peeking import peek
from gpt2sdk.generator.prefix_holder import limit_of, unused
from gpt2sdk.generator.prompt_words import asking_for_a_prompt
from gpt2sdk.generator.prompts import PromptInput, encode_prompts
from gpt2sdk.generator.scorer import Scorer
from gpt2sdk.generator.stream import Stream
from gpt2sdk.loading import (
    Hub,
    LoadSettings,
    MaxMemory,
    Quantization,
    known_architecture,
    load,
    prepare,
)
from gpt2sdk.options import Explanation, compose, explain, read_preset
from gpt2sdk.plugins.registry import Registry, default_registry
from gpt2sdk.session.engine import Engine
from gpt2sdk.streaming import TextDecoder
from gpt2sdk.tokenizer.end_tokens import EndTokens, find_end_tokens


class Generator(Scorer, Examiner, Converser, Awaited):
    """Generates text with one model.

    It holds no state of a call, so several threads may use one. Each process loads its own: it is
    not copied or pickled (docs/decisions/0022-generators-stay-in-their-process.md).

    Attributes:
        model: What scores tokens.
        tokenizer: Text to tokens and back.
        eos_token_ids: The tokens that end a row where a call does not say otherwise.
        end_tokens: The same in order: the first one closes a document.
        registry: The components that calls can name.
        notes: What was decided or noticed while the model was loaded, one line each.
        quantizer: What holds the model's matrices in fewer bits; `None` for nothing.
        architecture: What loaded the model, and saves it; `None` for a model that was not loaded.
        device: Where logits come out.
        dtype: The type in which the model computes; `None` for one that is no GPT-2.
        config: The model's sizes and switches; `None` for one that is no GPT-2.
        context_length: How many tokens a row may have, its prompt included.
    """

    def __init__(  # noqa: PLR0913 - a model, and what was found out about it while it was loaded
        self,
        model: CausalLM,
        tokenizer: Language,
        *,
        decoder: TextDecoder | None = None,
        eos_token_ids: Sequence[int] | None = None,
        registry: Registry | None = None,
        notes: Sequence[str] = (),
        quantizer: Quantizer | None = None,
        architecture: Architecture | None = None,
        identity: Identity | None = None,
        prefix_cache: int | str | None = None,
    ) -> None:
        """Put a model and its tokenizer to work.

        Args:
            model: What scores tokens; any `CausalLM`.
            tokenizer: Its tokenizer.
            decoder: Tokens to text as they come; a `Tokenizer` needs none, nor does one that has
                the methods of `TextDecoder` itself.
            eos_token_ids: The tokens that end a row; by default all that the tokenizer and the
                model's config name.
            registry: The components that calls can name; all installed ones by default.
            notes: What was noticed while the model was loaded.
            quantizer: What holds the model's matrices in fewer bits, if anything does.
            architecture: What names the model's parameters where it is saved; by default the
                installed one that knows it.
            identity: What tells the model from others in records of calls; found out by default.
            prefix_cache: As for `from_pretrained`.

        Raises:
            OptionError: The tokenizer is of another kind, and there is no decoder; or
                `prefix_cache` is no size.
        """
        self._keep_prefixes(prefix_cache)
        self.model = model
        self.tokenizer = tokenizer
        self.registry = registry or default_registry()
        if eos_token_ids is None:
            known = known_architecture(model, self.registry) or architecture
            self.end_tokens = find_end_tokens(known.end_names() if known else None, tokenizer)
        else:
            self.end_tokens = EndTokens(tuple(eos_token_ids))
        self.eos_token_ids = frozenset(self.end_tokens.ids)
        self.notes = (*notes, *self.end_tokens.notes, *unused(model, prefix_cache))
        self.quantizer = quantizer
        self.architecture = architecture
        self._identity = identity or Identity(model)
        self._decoder = decoder or decoder_of(tokenizer)

    @classmethod
    @answering(LOADS_ELSEWHERE)
    def from_pretrained(  # noqa: PLR0913 - half of them are the hub's, under its own names
        cls,
        name: str | Path,
        *,
        dtype: torch.dtype | str = "auto",
        device: torch.device | str = "auto",
        quantization: Quantization | None = None,
        placement: str | Mapping[str, object] | Placement | None = None,
        max_memory: MaxMemory | int | str | None = None,
        runner: str | Runner = "auto",
        prefix_cache: int | str | None = None,
        adapter: str | Path | None = None,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        plugins: Sequence[object] = (),
    ) -> Self:
        """Load a model with its tokenizer.

        Args:
            name: An installed model source, a local folder in the Hugging Face layout, or a hub
                id; looked for in this order.
            dtype: A torch dtype or its name; "auto" is the checkpoint's own.
            device: Such as "cpu" or "cuda:1"; "auto" is the GPU if there is one.
            quantization: What holds the matrices in fewer bits: a `Quantizer`, or the name of an
                installed one, such as "int8"; or transformers' `BitsAndBytesConfig`, with
                gpt2sdk-bitsandbytes. "auto" takes the best quality that fits
                `max_memory`, or what is free.
            placement: What distributes the model over devices: a `Placement`, the name of an
                installed one, such as "cpu-offload", or a device map:
                `{"wte": 0, "h.0": "cpu", …}`.
            max_memory: What each device may hold: `{0: "2GB", "cpu": "8GiB"}`, or one size for
                the device the model runs on. A number is bytes; GB are 10^9 of them, GiB 2^30.
            runner: What computes scores: the name of an installed `Runner`, or one; "torch" are
                torch's functions. "auto" is the first that can run the model: see `notes`.
            prefix_cache: How much to keep of the keys and values of what was read, such as
                "256MB", for later prompts that begin alike. By default only calls with an
                `engine` do so, up to 256 MB; given a size, all calls do. 0 keeps nothing.
            adapter: A folder with an adapter for the model, such as `gpt2sdk-train` and PEFT
                write; an installed plugin puts it in.
            revision: The hub's branch, tag or commit.
            token: The hub's access token, for private models.
            cache_dir: Where downloads are kept.
            local_files_only: Never go online.
            plugins: Modules or objects with hooks, to be used besides the installed plugins.

        Raises:
            CheckpointError: The model is not found, its files do not fit together, or the adapter
                does not fit it.
            TokenizerError: There is no tokenizer, or it is another model's.
            OptionError: `dtype` or `device` is none, there is no such quantizer, placement or
                runner, that runner cannot run the model, no plugin takes the adapter, or there is
                no such argument: those of other libraries are answered with what they are called
                here.
            PlacementError: The devices' memory does not suffice; the message says what would fit.
        """
        if prefix_cache is not None:
            limit_of(prefix_cache)
        registry = Registry(plugins) if plugins else default_registry()
        settings = LoadSettings(dtype, device, quantization, placement, max_memory, runner)
        hub = Hub(revision, token, cache_dir, local_files_only)
        loaded = load(name, settings, hub=hub, registry=registry)
        if adapter is not None:
            put_in(loaded.model, Path(adapter), registry.host)
        registry.host.notify("gpt2sdk_model_loaded", loaded.model)
        identity = Identity(loaded.model, str(name)).settled()
        running = prepare(loaded.model, loaded.architecture, runner, registry)
        return cls(
            loaded.model,
            loaded.tokenizer,
            eos_token_ids=loaded.end_tokens.ids,
            registry=registry,
            notes=(*running, *loaded.notes, *loaded.end_tokens.notes),
            quantizer=loaded.quantizer,
            architecture=loaded.architecture,
            identity=identity,
            prefix_cache=prefix_cache,
        )

    @override
    @asking_for_a_prompt
    def generate(
        self,
        prompt: PromptInput,
        *,
        cancel: threading.Event | None = None,
        engine: Engine | None = None,
        config: CallRecord | Mapping[str, object] | None = None,
        **options: object,
    ) -> Result:
        """Continue prompts and return everything at once.

        An interruption from the keyboard, like `cancel`, ends the call early: unfinished
        completions then have `finish_reason="cancelled"`.

        Args:
            prompt: One text, one sequence of token ids, or a list of such. Token ids may be lists,
                tensors or arrays, `tokenizers.Encoding`s, or the batch that a tokenizer of
                transformers returns, without whose padding they are then read.
            cancel: Set it, from any thread, to end the call early.
            engine: What runs it, shared with other calls; one of its own by default.
            config: Options as data, such as `json.load` returns: a preset; or the `record` of a
                result, whose call is repeated. It names installed components and sets their
                options, nothing else. What is given beside it goes before.
            options: See `gpt2sdk options`, or the reference in the documentation.

        Raises:
            OptionError: An option or a prompt is wrong; nothing has run then.
            ContextOverflowError: A prompt, or what it may grow by, exceeds the window.
            GenerationError: Something raised while generating; `.partial` has what was made.
        """
        call = self._call(
            prompt, options, config, cancel or threading.Event(), engine, streaming=False
        )
        deque(call.submit().deltas(), maxlen=0)
        return call.result()

    @asking_for_a_prompt
    def stream(
        self,
        prompt: PromptInput,
        *,
        cancel: threading.Event | None = None,
        engine: Engine | None = None,
        config: CallRecord | Mapping[str, object] | None = None,
        **options: object,
    ) -> Stream:
        """Continue prompts and yield deltas as their text becomes certain.

        Joined, a row's deltas are the text that `generate` returns for it.

        Args:
            prompt: As for `generate`.
            cancel: As for `generate`; `Stream.cancel()` does the same.
            engine: As for `generate`.
            config: As for `generate`.
            options: As for `generate`.

        Raises:
            OptionError: As for `generate`, and at once: not only when the first delta is read.
            ContextOverflowError: Likewise.
        """
        cancel = cancel or threading.Event()
        call = self._call(prompt, options, config, cancel, engine, streaming=True)
        return Stream(call.submit(), cancel)

    @asking_for_a_prompt
    def next_token(
        self, prompt: PromptInput, *, n: int = 10, **options: object
    ) -> NextToken | list[NextToken]:
        """Say which tokens may come next, and how likely they are; nothing is written.

        Without options these are the model's own probabilities, with options those that a call with
        these options draws its first token from.

        Args:
            prompt: As for `generate`.
            n: How many of the likeliest tokens to name, 1 or more.
            options: As for `generate`, those that act on logits: `temperature`, `top_k`, …

        Returns:
            A distribution, or a list of them for a list of prompts.

        Raises:
            OptionError: An option or a prompt is wrong, or an option has no part in this; nothing
                has run then.
            ContextOverflowError: A prompt exceeds the window.
            GenerationError: Something raised meanwhile.
        """
        return peek(self, prompt, n, options)

    @property
    def model_identity(self) -> dict[str, object]:
        """What a record of a call says of the model, JSON-ready.

        `name` is what it was loaded by. The `fingerprint` is made of the names, shapes and types of
        all weights and of some numbers of each; it is empty for a model that is no torch module.
        """
        return self._identity.record(self.dtype, self.quantizer)

    def explain(
        self,
        *,
        config: CallRecord | Mapping[str, object] | None = None,
        prompts: int = 1,
        **options: object,
    ) -> Explanation:
        """Say what a call with these options would run, in which order and why.

        Args:
            config: As for `generate`.
            prompts: How many prompts there would be; options may be one for each.
            options: As for `generate`; prompts themselves are not needed.

        Raises:
            OptionError: An option is wrong.
        """
        preset = read_preset(config)
        composition = compose(options, registry=self.registry, prompts=prompts, config=preset)
        return explain(composition.ending_at(self.eos_token_ids), self.registry)

    @override
    def _call(
        self,
        prompt: PromptInput,
        options: dict[str, object],
        config: object,
        cancel: threading.Event,
        engine: Engine | None,
        *,
        streaming: bool,
    ) -> Call:
        if engine is not None:
            check_engine(engine, self.model, options)
        preset = read_preset(config)
        check_model(self, preset)
        encoded = encode_prompts(prompt, self.tokenizer, self.model.vocab_size)
        composition = compose(options, registry=self.registry, prompts=len(encoded), config=preset)
        return begin(
            self, encoded, composition, engine=engine, streaming=streaming, cancelled=cancel.is_set
        )
