"""What runs many calls with one model, and remembers what it read."""

from functools import partial

from gpt2sdk.components.causal_lm import CausalLM, PortableCache, RecallableLM
from gpt2sdk.errors import OptionError
from gpt2sdk.generator.answering import answering
from gpt2sdk.generator.holder import ModelHolder
from gpt2sdk.loading import parse_size
from gpt2sdk.mention import argument
from gpt2sdk.session.engine import Engine
from gpt2sdk.session.prefix_cache import CacheInfo, PrefixCache
from gpt2sdk.streaming import TextDecoder

DEFAULT_LIMIT = 256 * 10**6
"""Bytes that engines for many calls may keep where nobody says how many."""


class PrefixHolder(ModelHolder):
    """Holds a model, keys and values of what it has read, and makes engines that share them."""

    _decoder: TextDecoder
    _prefixes: PrefixCache | None = None
    _keeps_always: bool = False

    @answering({})
    def engine(self, *, batch_size: int = 32, prefix_cache: bool = True) -> Engine:
        """Return an engine for many calls: rows of all of them share passes of the model.

        Calls that are given it, from one thread or several, are run by whichever of them is being
        read. Each call's result is what it would be alone.

        Args:
            batch_size: Rows at a time, of all calls together; prompts, for strategies that
                compare rows. The option of this name does not count for calls with an engine.
            prefix_cache: Whether prompts go on from what was read in earlier calls of this
                generator, with any engine, and are kept for later ones.
        """
        return Engine(
            self.model,
            self.tokenizer,
            self._decoder,
            batch_size=batch_size,
            prefixes=self._prefixes if prefix_cache else None,
            started=partial(self.registry.host.notify, "gpt2sdk_generation_started"),
        )

    def cache_info(self) -> CacheInfo:
        """Say what the prefix cache holds, and what it was good for so far."""
        return CacheInfo() if self._prefixes is None else self._prefixes.info()

    def clear_cache(self) -> None:
        """Forget all that was read, and give the memory back; what was counted stays.

        Weights that are trained, replaced or written to are noticed. What torch keeps no count of
        is not: what is written through `Tensor.data`, or into modules' attributes.
        """
        if self._prefixes is not None:
            self._prefixes.clear()

    def _keep_prefixes(self, size: int | str | None) -> None:
        """Make the prefix cache.

        Args:
            size: What it may hold; 0 for nothing, `None` for what is usual, in engines for many
                calls alone.

        Raises:
            OptionError: It is no size.
        """
        limit = DEFAULT_LIMIT if size is None else limit_of(size)
        self._prefixes = PrefixCache(limit) if limit else None
        self._keeps_always = size is not None

    @property
    def prefixes(self) -> PrefixCache | None:
        """What calls use that have no engine of many: nothing, unless a size was given."""
        return self._prefixes if self._keeps_always else None


def limit_of(size: int | str) -> int:
    """Return the bytes that a prefix cache may hold.

    >>> limit_of("256MB"), limit_of("1GiB"), limit_of(0), limit_of("0")
    (256000000, 1073741824, 0, 0)

    Raises:
        OptionError: It is no size.
    """
    if not isinstance(size, bool) and str(size).strip() == "0":
        return 0
    try:
        return parse_size(size)
    except OptionError as error:
        message = f"{argument('prefix_cache', size)}: expected {error.expected}, or 0 for none"
        raise OptionError(
            message, name="prefix_cache", value=size, expected=error.expected
        ) from None


def unused(model: CausalLM, size: int | str | None) -> tuple[str, ...]:
    """Say that a size was given for a model whose prompts are read anew in each call."""
    if size is None or not limit_of(size):
        return ()
    if isinstance(model, RecallableLM) and isinstance(model.make_cache(1), PortableCache):
        return ()
    return (
        (
            f"{argument('prefix_cache', size)} keeps nothing: what this model remembers of a text "
            "cannot be cut to its beginning, so each call reads its prompts anew"
        ),
    )
