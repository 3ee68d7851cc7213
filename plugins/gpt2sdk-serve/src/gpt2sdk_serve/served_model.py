"""A model that is served: its generator, the engine of all its requests, and what it is called."""

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

from gpt2sdk import Engine, Generator, Tokenizer, __version__
from gpt2sdk_serve.admission import Admission
from gpt2sdk_serve.token_words import TokenWords


@dataclass(eq=False)
class ServedModel:
    """A model that is served.

    Attributes:
        name: What it is asked for by; an alias is a name of the same model.
        generator: What runs it.
        engine: What runs all its requests.
        admission: Who may begin.
        reader: Where texts are scored, which shares no passes: one after another, in a thread that
            nothing else needs.
        token_bytes: Bytes that a token of a row takes; 0 where nobody knows.
        created: When it was loaded, in seconds since 1970.
    """

    name: str
    generator: Generator
    engine: Engine
    admission: Admission
    reader: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "reader"))
    token_bytes: int = 0
    created: int = field(default_factory=lambda: int(time.time()))

    @cached_property
    def words(self) -> TokenWords:
        """The tokens as answers name them."""
        return TokenWords(self.generator.tokenizer)

    @cached_property
    def fingerprint(self) -> str:
        """What an answer depends on besides the request: the model and the version."""
        identity = sorted((key, str(value)) for key, value in self._identity.items())
        return f"fp_{hashlib.sha256(repr((identity, __version__)).encode()).hexdigest()[:12]}"

    @property
    def _identity(self) -> dict[str, object]:
        known = self.generator.model_identity
        return {key: value for key, value in known.items() if key != "name"}

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a prompt, as the generator reads it.

        Raises:
            TokenizerError: It is no Unicode text.
        """
        language = self.generator.tokenizer
        tokens = language.encode(text)
        bos = language.bos_token_id
        if language.adds_bos and bos is not None and tokens[:1] != [bos]:
            return [bos, *tokens]
        return tokens

    def as_listed(self, name: str) -> dict[str, object]:
        """Return what `/v1/models` says of it."""
        return {
            "id": name,
            "object": "model",
            "created": self.created,
            "owned_by": "gpt2sdk",
            "root": self.name,
            "max_model_len": self.generator.context_length,
            "has_chat_template": self.has_chat_template,
        }

    @property
    def has_chat_template(self) -> bool:
        """Whether its files have a chat template."""
        tokenizer = self.generator.tokenizer
        return isinstance(tokenizer, Tokenizer) and bool(tokenizer.chat_templates)
