"""Slots of a model's cache: rows that have read the same share one, and part where they are fed."""

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple, cast

from gpt2sdk.components.causal_lm import CausalLM, PortableCache, RecallableLM
from gpt2sdk.components.records import Prompt
from gpt2sdk.session.prefix_cache import LEAST, PrefixCache, common


class Errand(NamedTuple):
    """What a row wants of the next model call.

    Attributes:
        seat: The row's.
        prompt: What it continues.
        slot: What it holds; `None` for a row that has read nothing.
        valid: How many tokens of the slot count.
        tokens: What is fed behind them.
        keep: How many last positions are scored.
        history: The layers whose hidden states are wanted of all that is fed.
    """

    seat: int
    prompt: Prompt
    slot: int | None
    valid: int
    tokens: Sequence[int]
    keep: int
    history: Sequence[int] = ()


class Slots:
    """The slots of one model's cache, each with the number of rows that hold it.

    A row that is copied shares its slot with the copy. Only a row that is fed needs a slot of its
    own, so that however often rows fork between two model calls, one gather moves what differs.
    """

    def __init__(self, model: CausalLM, prefixes: PrefixCache | None = None) -> None:
        """Start without slots.

        Args:
            model: What scores tokens.
            prefixes: What was read in other calls; only models that say what it comes of use it.
        """
        self.model = model
        self.cache = model.make_cache(0)
        self.users = 0
        self._holders: list[int] = []
        self._recallable = model if isinstance(model, RecallableLM) else None
        usable = self._recallable is not None and isinstance(self.cache, PortableCache)
        self._prefixes = prefixes if usable else None
        # Of what each slot comes, as far as that is known.
        self._origins: list[Hashable | None] = []
        self._origin: Hashable | None = None

    def share(self, slot: int | None) -> int | None:
        """Let one more row hold a slot."""
        if slot is not None:
            self._holders[slot] += 1
        return slot

    def release(self, slot: int | None, tokens: Sequence[int] = ()) -> None:
        """Let one row less hold it; what nobody holds goes to the next row that needs one.

        Args:
            slot: The slot.
            tokens: What it holds for a row that is over: later calls may go on from there.
        """
        if slot is None:
            return
        if self._prefixes is not None and tokens:
            origin = self._origins[slot]
            if origin is not None and origin == self._asked():
                self._prefixes.keep(self._portable, slot, tokens, origin)
        self._holders[slot] -= 1

    def prepare(self, errands: Sequence[Errand]) -> tuple[list[int], list[int]]:
        """Find each row a slot that no other row holds, cut to what counts of it.

        Returns:
            The slots; and how many rows hold each slot if the model then reads them.
        """
        before, holders = len(self._holders), list(self._holders)
        slots: list[int] = []
        copies: dict[int, int] = {}
        for errand in errands:
            slot = errand.slot
            if slot is None or holders[slot] > 1:
                parent = -1 if slot is None else slot
                # A slot that is let go now keeps its content until all copies are made.
                if slot is not None:
                    holders[slot] -= 1
                slot = holders.index(0) if 0 in holders else len(holders)
                holders[slot : slot + 1] = [1]
                copies[slot] = parent
            slots.append(slot)
        while holders and not holders[-1]:
            holders.pop()
        if copies or len(holders) != before:
            parents = [copies.get(slot, slot) for slot in range(len(holders))]
            self.cache.fork(parents)
            if self._prefixes is not None:
                known = [*self._origins, None]
                self._origins = [known[parent] for parent in parents]
        lengths = self.cache.lengths
        if any(lengths[slot] != each.valid for slot, each in zip(slots, errands, strict=True)):
            cuts = list(lengths)
            for slot, errand in zip(slots, errands, strict=True):
                cuts[slot] = errand.valid
            self.cache.rewind(cuts)
        return slots, holders

    def keep(self, holders: list[int]) -> None:
        """Let rows hold the slots that were prepared for them."""
        self._holders = holders

    def restore(self) -> None:
        """Let rows hold what they held: the model has failed."""
        held = len(self.cache.lengths)
        del self._holders[held:]
        self.cache.fork(range(len(self._holders)))
        del self._origins[len(self._holders) :]

    def leave(self) -> None:
        """Let one branch less have it, and free the memory with the last."""
        self.users -= 1
        if not self.users:
            self.trim()

    def trim(self) -> None:
        """Free the memory if no row holds any."""
        if not any(self._holders):
            self._forget()

    def close(self) -> None:
        """Free the cache: nothing can be scored any more."""
        self._forget()
        del self.cache

    def waves(self, errands: Sequence[Errand]) -> Iterator[Sequence[int]]:
        """Say which errands are read together: all of them where there is no prefix cache.

        Of rows whose prompts begin alike, one reads first, and the others then find its tokens,
        where that spares each of them more than a model call costs.
        """
        rest: Sequence[int] = range(len(errands))
        found: dict[int, int] = {}
        while rest:
            waiting = self._waiting(errands, rest, found)
            # Once the first have been read, the cache knows more.
            yield [at for at in rest if at not in waiting]
            rest = sorted(waiting)

    def recall(self, errands: Sequence[Errand], slots: Sequence[int]) -> list[int]:
        """Fill slots with what the prefix cache has of their rows' tokens.

        Returns:
            How many tokens of each errand need not be fed.
        """
        self._origin = self._asked()
        known = [0] * len(errands)
        if self._prefixes is None or self._origin is None:
            return known
        for at, (errand, slot) in enumerate(zip(errands, slots, strict=True)):
            if _fresh(errand):
                tokens = errand.tokens[: len(errand.tokens) - errand.keep]
                known[at] = self._prefixes.recall(self._portable, slot, tokens, self._origin)
        return known

    def remember(self, errands: Sequence[Errand], slots: Sequence[int]) -> None:
        """Note of what slots come, now that they were read, and keep the prompts among them."""
        if self._prefixes is None:
            return
        origin = self._origin if self._origin == self._asked() else None
        for errand, slot in zip(errands, slots, strict=True):
            if not errand.valid:
                self._origins[slot] = origin
                # What was drafted behind the row is no part of it yet.
                tokens = errand.tokens[: len(errand.tokens) - errand.keep + 1]
                self._prefixes.keep(self._portable, slot, tokens, origin)
            elif self._origins[slot] != origin:
                self._origins[slot] = None

    def _waiting(
        self, errands: Sequence[Errand], rest: Sequence[int], found: dict[int, int]
    ) -> set[int]:
        """Find which errands had better wait for others.

        Args:
            errands: All of them.
            rest: Which of them are to be read.
            found: What the cache had for each when it was last looked for, which is written to:
                who waited and found no more does not wait again.
        """
        waiting: set[int] = set()
        fresh = [at for at in rest if _fresh(errands[at])] if self._prefixes is not None else []
        if self._prefixes is None or len(fresh) < 2 or (origin := self._asked()) is None:
            return waiting
        before: Sequence[int] = ()
        # Neighbours in the order of their tokens have most in common.
        for at in sorted(fresh, key=lambda at: [*errands[at].tokens]):
            tokens = errands[at].tokens
            end = len(tokens) - errands[at].keep
            known = self._prefixes.length(tokens[:end], origin)
            spared = min(common(before, tokens), end) - known
            if spared >= LEAST and known > found.get(at, -1):
                waiting.add(at)
            found[at], before = known, tokens
        return waiting

    def _asked(self) -> Hashable | None:
        """What the model computes with now, if anybody wants to know."""
        if self._prefixes is None or self._recallable is None:
            return None
        return self._recallable.origin()

    @property
    def _portable(self) -> PortableCache:
        return cast("PortableCache", self.cache)

    def _forget(self) -> None:
        self._holders.clear()
        self._origins.clear()
        self.cache.fork([])


def _fresh(errand: Errand) -> bool:
    """Whether a row begins to read, and nobody wants to see each token being read."""
    return not errand.valid and not errand.history
