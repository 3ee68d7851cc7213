"""What a cache takes over from earlier calls of its model, and leaves to later ones."""

from collections.abc import Hashable, Sequence

from gpt2sdk.components.causal_lm import CausalLM, KeyValueCache, PortableCache, RecallableLM
from gpt2sdk.session.prefix_cache import PrefixCache


class Recalling:
    """Fills slots of one cache with what is known, as long as the model stays as it is.

    Where there is no prefix cache, or the model cannot have one, nothing is known.
    """

    def __init__(self, model: CausalLM, cache: KeyValueCache, prefixes: PrefixCache | None) -> None:
        """Ask the model what it computes with.

        Args:
            model: What scores tokens.
            cache: Its cache.
            prefixes: What was read in other calls.
        """
        self._model = model if isinstance(model, RecallableLM) else None
        self._cache = cache if isinstance(cache, PortableCache) else None
        self._prefixes = prefixes
        self._origin = self._asked()

    def recall(self, slot: int, tokens: Sequence[int]) -> int:
        """Put as much of a sequence as is known into a slot that holds its beginning.

        Returns:
            How many first tokens of the sequence the slot holds then.
        """
        if self._prefixes is None or self._cache is None or self._origin is None:
            return 0
        return self._prefixes.recall(self._cache, slot, tokens, self._origin)

    def check(self) -> None:
        """Note whether the model was still the same in the call that it has just finished."""
        if self._origin is not None and self._origin != self._asked():
            self._origin = None

    def keep(self, slot: int, tokens: Sequence[int]) -> None:
        """Keep what a slot holds of a sequence, which is all of it or more."""
        if self._prefixes is not None and self._cache is not None and tokens:
            self._prefixes.keep(self._cache, slot, tokens, self._origin)

    def _asked(self) -> Hashable | None:
        usable = self._prefixes is not None and self._cache is not None
        return self._model.origin() if usable and self._model is not None else None
