"""A gpt2sdk model as lm-evaluation-harness asks for one."""

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from lm_eval.api.model import TemplateLM
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs
from typing_extensions import override

from gpt2sdk import Generator, OptionError, Score, Tokenizer, argument

Pair = tuple[tuple[str, str] | None, list[int], list[int]]
"""What was asked, for the harness's cache, with the tokens of context and continuation."""

_ROWS = 32
# Continuations that are handed to the model at once: their scores are kept until then.
_ASKED = 4096


class Instance(Protocol):
    """A request of the harness."""

    @property
    def args(self) -> tuple[object, ...]:
        """What is asked."""


class GPT2SDKLM(TemplateLM):  # type: ignore[misc]  # the harness has no types
    """A model that the harness evaluates, with the numbers of its own `hf` model.

    Contexts that requests have in common are read once. Rolling windows, truncation, the prefix
    token and the place where a pair is cut are the harness's.

    Args:
        pretrained: What `Generator.from_pretrained` takes, or a generator.
        batch_size: Rows that generate at a time; "auto" for 32. Continuations are batched by their
            tokens, whatever this says.
        max_batch_size: Not used: there is nothing to try out.
        device: Where the model runs. The harness asks for "cuda:0" where nobody says otherwise; a
            device of that kind that is not there is the CPU then, as for `hf`.
        max_length: Tokens of a window; the model's context length by default.
        max_gen_toks: Most tokens to generate where a task does not say.
        prefix_token_id: What stands before a text without context; the bos token by default, or
            the end token where there is none.
        add_bos_token: Whether texts begin with the bos token; by default where the tokenizer's
            files say so.
        seed: Where the random numbers of tasks that sample start.
        chat_template_args: What chat templates read besides the messages.
        enable_thinking: One of these, as for `hf`.
        settings: The other arguments of `Generator.from_pretrained`: `dtype`, `quantization`,
            `placement`, `adapter`, …; `prefix_cache` is "256MB", so that examples before many
            questions are read once.

    Raises:
        OptionError: An argument is wrong.
    """

    def __init__(  # noqa: PLR0913 - the harness's names
        self,
        pretrained: str | Generator,
        *,
        batch_size: int | str = _ROWS,
        max_batch_size: int | None = None,
        device: str | None = None,
        max_length: int | None = None,
        max_gen_toks: int = 256,
        prefix_token_id: int | None = None,
        add_bos_token: bool | None = None,
        seed: int = 0,
        chat_template_args: Mapping[str, object] | None = None,
        enable_thinking: bool | None = None,
        **settings: object,
    ) -> None:
        super().__init__()
        del max_batch_size
        if isinstance(pretrained, Generator):
            self.generator = pretrained
        else:
            settings.setdefault("prefix_cache", "256MB")
            where = "auto" if device is None or not _is_there(device) else device
            self.generator = Generator.from_pretrained(pretrained, device=where, **settings)  # type: ignore[arg-type]
        limit = self.generator.context_length
        if max_length is not None and not 2 <= int(max_length) <= limit:
            message = f"is 2 to {limit}, the model's context; got {max_length}"
            raise ValueError(f"{argument('max_length')} {message}")
        self.max_length = limit if max_length is None else int(max_length)
        self.max_gen_toks = int(max_gen_toks)
        rows = str(batch_size)
        self.batch_size = _ROWS if rows.startswith("auto") else int(rows)
        self._prefix = prefix_token_id
        self._adds_bos = (
            self.generator.tokenizer.adds_bos if add_bos_token is None else bool(add_bos_token)
        )
        self._seed = int(seed)
        self._template: str | None = None
        thinking = {} if enable_thinking is None else {"enable_thinking": bool(enable_thinking)}
        self._template_args = {**(chat_template_args or {}), **thinking}

    @property
    @override
    def device(self) -> torch.device:
        """Where logits come out."""
        return self.generator.device

    @property
    @override
    def eot_token_id(self) -> int:
        """The token that closes a document."""
        closing = self.generator.end_tokens.closing
        if closing is None:
            raise ValueError("the model has no end token: give prefix_token_id")
        return closing

    @property
    @override
    def prefix_token_id(self) -> int:
        """What stands before a text that has no context."""
        if self._prefix is not None:
            return int(self._prefix)
        bos = self.generator.tokenizer.bos_token_id
        return self.eot_token_id if bos is None else bos

    @property
    @override
    def tokenizer_name(self) -> str:
        """What tells the harness's caches of tokenized requests apart."""
        kind = type(self.generator.tokenizer).__name__
        return f"gpt2sdk__{kind}__{self.generator.model.vocab_size}"

    @override
    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **kwargs: object
    ) -> list[int]:
        """Return a text's tokens; special tokens that it spells are what they name, as for `hf`."""
        tokenizer = self.generator.tokenizer
        tokens = tokenizer.encode(string, allow_special=True)
        bos = tokenizer.bos_token_id
        wanted = self._adds_bos if add_special_tokens is None else add_special_tokens
        if wanted and self._adds_bos and bos is not None and tokens[:1] != [bos]:
            return [bos, *tokens]
        return tokens

    @override
    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """Return the text of a chat, for `--apply_chat_template`; special tokens are spelled out.

        As for `hf`, a template that refuses the messages gets them once more, without those of the
        system.
        """
        try:
            return self._written(chat_history, begun=not add_generation_prompt)
        except OptionError:
            said = [message for message in chat_history if message["role"] != "system"]
            if len(said) == len(chat_history):
                raise
            return self._written(said, begun=not add_generation_prompt)

    @override
    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """Return the template that chats are written with, which the harness notes; `None` for off.

        Args:
            chat_template: Whether there is one; or the name of one of several.

        Raises:
            ValueError: There is none, or none of that name.
        """
        if chat_template is False or chat_template is None:
            return None
        tokenizer = self.generator.tokenizer
        templates = tokenizer.chat_templates if isinstance(tokenizer, Tokenizer) else {}
        self._template = chat_template if isinstance(chat_template, str) else None
        found = templates.get(self._template or "default")
        if found is None:
            raise ValueError(
                f"--apply_chat_template {chat_template}: the tokenizer has "
                f"{', '.join(templates) or 'no chat template'}"
            )
        return found

    def _written(self, messages: list[dict[str, str]], *, begun: bool) -> str:
        return self.generator.chat_prompt(
            messages,
            add_generation_prompt=not begun,
            continue_final_message=begun,
            chat_template=self._template,
            chat_template_kwargs=self._template_args,
            tokenize=False,
        )

    @override
    def _loglikelihood_tokens(
        self, requests: Sequence[Pair], **kwargs: object
    ) -> list[tuple[float, bool]]:
        empty = next((asked for asked, _, continuation in requests if not continuation), None)
        if empty is not None:
            raise ValueError(
                f"{empty[1]!r:.60} adds no token to {empty[0][-60:]!r}: expected a continuation "
                "that begins with a token of its own"
            )
        found: list[tuple[float, bool]] = []
        for start in range(0, len(requests), _ASKED):
            some = requests[start : start + _ASKED]
            scores = self._score(
                [continuation for _, _, continuation in some], [context for _, context, _ in some]
            )
            found += [(math.fsum(each.logprobs), each.greedy) for each in scores]
        for (asked, _, _), answer in zip(requests, found, strict=True):
            if asked is not None:
                self.cache_hook.add_partial("loglikelihood", asked, answer)
        return found

    @override
    def loglikelihood_rolling(
        self, requests: Sequence[Instance], disable_tqdm: bool = False
    ) -> list[float]:
        """Return the log-probability of each text behind the prefix token, window by window."""
        texts = [str(request.args[0]) for request in requests]
        sequences = [self.tok_encode(text) for text in texts]
        sums = [0.0] * len(texts)
        some = [number for number, tokens in enumerate(sequences) if tokens]
        scores = self._score(
            [sequences[number] for number in some], [[self.prefix_token_id]] * len(some)
        )
        for number, score in zip(some, scores, strict=True):
            sums[number] = math.fsum(score.logprobs)
        for text, each in zip(texts, sums, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", (text,), each)
        return sums

    @override
    def generate_until(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        """Return what follows each context, up to one of its stop texts."""
        alike: dict[str, list[int]] = {}
        for number, request in enumerate(requests):
            alike.setdefault(repr(request.args[1]), []).append(number)
        found = [""] * len(requests)
        for numbers in alike.values():
            asked = requests[numbers[0]].args[1]
            contexts = [str(requests[number].args[0]) for number in numbers]
            for number, text in zip(numbers, self._continue(contexts, asked), strict=True):
                found[number] = text
        for request, text in zip(requests, found, strict=True):
            self.cache_hook.add_partial("generate_until", request.args, text)
        return found

    def _score(
        self, continuations: Sequence[list[int]], contexts: Sequence[list[int]]
    ) -> list[Score]:
        """Score tokens behind tokens, as many of which are read as fit the window."""
        if not continuations:
            return []
        size = self.max_length
        found = self.generator.score(
            list(continuations), context=list(contexts), window=size, stride=size, bos=False
        )
        return list(found)

    def _continue(self, contexts: Sequence[str], asked: object) -> list[str]:
        """Continue contexts that are to be continued alike."""
        options = normalize_gen_kwargs(dict(_mapping(asked)), self.max_gen_toks)
        closing = self.generator.end_tokens.closing
        ending = None if closing is None else self.generator.tokenizer.decode([closing])
        stops = [each for each in handle_stop_sequences(options.pop("until", None), ending) if each]
        new = options.pop("max_gen_toks")
        room = self.max_length - new
        if room < 1:
            raise ValueError(
                f"{new} tokens are to be generated, and the window is {self.max_length}: give "
                "fewer with max_gen_toks"
            )
        samples = bool(options.pop("do_sample", False))
        if samples:
            options.setdefault("seed", self._seed)
        else:
            options.pop("temperature", None)
        result = self.generator.generate(
            [self._prompt(context)[-room:] for context in contexts],
            strategy="sample" if samples else "greedy",
            max_new_tokens=new,
            stop=stops,
            batch_size=self.batch_size,
            **options,
        )
        return result.texts

    def _prompt(self, context: str) -> list[int]:
        return self.tok_encode(context) or [self.prefix_token_id]


def _mapping(asked: object) -> Mapping[str, object]:
    if isinstance(asked, Mapping):
        return asked
    raise TypeError(f"generation arguments are {asked!r:.60}, expected a mapping")


def _is_there(device: str) -> bool:
    """Whether a device is there; the harness names "cuda:0" on machines without one."""
    return not device.startswith("cuda") or torch.cuda.is_available()
