"""Documents as one ring of tokens, cut into blocks: every token is predicted once per epoch."""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Self

import torch
from jaxtyping import Int
from torch import Tensor

from gpt2sdk import DocumentEncoder, EndTokens, OptionError, Tokenizer, find_end_tokens
from gpt2sdk_train.documents import check_documents

# Of one token, nothing can be predicted.
_FEWEST = 2


class PackedTokens:
    """Documents joined by the end token, in order.

    Attributes:
        tokens: All tokens; each document is followed by the end token, if there is one, and begins
            with the bos token where the tokenizer adds one and that is another.
        nbytes: UTF-8 bytes of the documents, end tokens not counted.
    """

    def __init__(self, tokens: Int[Tensor, " tokens"], nbytes: int) -> None:
        self.tokens = tokens
        self.nbytes = nbytes

    @classmethod
    def encode(
        cls, documents: Iterable[str], tokenizer: Tokenizer, ends: EndTokens | None = None
    ) -> Self:
        """Encode documents; of special tokens spelled out in them, end tokens alone are obeyed.

        Args:
            documents: The text.
            tokenizer: The model's.
            ends: The model's end tokens, the first of which closes documents; the tokenizer's own
                by default.

        Raises:
            OptionError: If there are fewer than two tokens, so that nothing can be predicted, or
                `documents` is one text.
            TokenizerError: If the tokenizer cannot encode a document.
        """
        check_documents(documents)
        ends = find_end_tokens(None, tokenizer) if ends is None else ends
        encoder = DocumentEncoder(tokenizer, ends)
        ids: list[Tensor] = []
        nbytes = 0
        for document in documents:
            for text, encoded in encoder.encode(document):
                ids.append(torch.tensor(encoded, dtype=torch.int32))
                nbytes += len(text.encode())
        tokens = torch.cat(ids) if ids else torch.zeros(0, dtype=torch.int32)
        closed = len(ids) if ends.ids else 0
        if len(tokens) - closed < _FEWEST:
            raise OptionError(
                f"expected text of at least {_FEWEST} tokens, found {len(tokens) - closed}",
                name="documents",
                expected=f"{_FEWEST} tokens or more",
            )
        return cls(tokens, nbytes)

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def digest(self) -> str:
        """A fingerprint of the tokens, to notice that another text is trained on."""
        return blake2b(self.tokens.numpy().tobytes(), digest_size=16).hexdigest()


class BlockOrder:
    """Which blocks are trained on when: a pure function of the seed, so nothing has to be saved.

    The tokens form a ring that each epoch cuts from another place on, into blocks of `size` that
    are then shuffled. What remains, less than a block, comes elsewhere in other epochs. A block
    comes with the token behind it: `size` predictions.

    Example:
        >>> order = BlockOrder(PackedTokens(torch.arange(9, dtype=torch.int32), 9), size=4, seed=1)
        >>> order.per_epoch
        2
        >>> order.take(range(2)).shape
        torch.Size([2, 5])
    """

    def __init__(self, packed: PackedTokens, *, size: int, seed: int) -> None:
        self._tokens = packed.tokens
        self.size = min(size, len(packed) - 1)
        self.per_epoch = len(packed) // self.size
        self._seed = seed
        self._epoch = -1
        self._starts = torch.zeros(0, dtype=torch.int64)

    def take(self, places: Sequence[int]) -> Int[Tensor, "blocks tokens"]:
        """Return the blocks at places of the endless sequence of all epochs' blocks."""
        starts = torch.stack([self._start(place) for place in places])
        within = starts[:, None] + torch.arange(self.size + 1)
        return self._tokens[within % len(self._tokens)].to(torch.int64)

    def _start(self, place: int) -> Tensor:
        epoch, number = divmod(place, self.per_epoch)
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(derived_seed(self._seed, "order", epoch))
            offset = torch.randint(len(self._tokens), (1,), generator=generator)
            self._starts = offset + torch.randperm(self.per_epoch, generator=generator) * self.size
            self._epoch = epoch
        return self._starts[number]


def windows(length: int, size: int, stride: int) -> Iterator[tuple[int, int, int]]:
    """Cut a text for scoring: each window's start and end, and from where its tokens count.

    Every token but the first is predicted once, with at least `size - stride` tokens before it
    (fewer at the beginning).

    >>> list(windows(10, size=4, stride=2))
    [(0, 4, 0), (2, 6, 4), (4, 8, 6), (5, 9, 8)]
    """
    done = 0
    while done < length - 1:
        end = min(done + (size if done == 0 else stride), length - 1)
        yield max(0, end - size), end, done
        done = end


def derived_seed(*parts: int | str) -> int:
    """Hash numbers and words into a seed of 63 bits, the same on every machine.

    >>> derived_seed(7, "order", 0) == derived_seed(7, "order", 0) != derived_seed(7, "order", 1)
    True
    """
    text = "/".join(map(str, parts)).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big") >> 1
