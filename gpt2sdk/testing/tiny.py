"""A tiny GPT-2 with random weights, in memory or as a folder to load."""

from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from gpt2sdk.config import GPT2Config
from gpt2sdk.gpt2.export import save_pretrained
from gpt2sdk.gpt2.model import GPT2
from gpt2sdk.tokenizer.tokenizer import Tokenizer as GPT2Tokenizer
from gpt2sdk.tokenizer.tokenizer_files import TokenizerFiles

END_OF_TEXT = "<|endoftext|>"
# Enough that some words are one token, some several; "Ġ" is a blank.
_MERGES = (
    *("Ġ t", "h e", "Ġt he", "i n", "a n", "Ġ a", "an d", "Ġ and", "e r", "o n", "Ġ w", "r e"),
    *("c e", "O n", "On ce", "u p", "Ġ up", "Ġup on", "m e", "i me", "Ġt ime"),
)


def tiny_gpt2(seed: int = 0) -> GPT2:
    """Return a model with two layers, about 43,000 random weights and a window of 256 tokens.

    Its weights are large enough that the logits differ by some nats.

    Args:
        seed: What the weights are drawn with.
    """
    return GPT2(_config(), seed=seed).eval()


def tiny_tokenizer() -> GPT2Tokenizer:
    """Return a byte-level tokenizer like GPT-2's, with a few merges; any text can be encoded.

    >>> tokenizer = tiny_tokenizer()
    >>> [tokenizer.token_text(token) for token in tokenizer.encode("Once upon the pond")]
    ['Once', ' upon', ' the', ' ', 'p', 'on', 'd']
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in _MERGES)]
    tokens = [*alphabet, *("".join(pair) for pair in pairs)]
    vocab = {token: number for number, token in enumerate(tokens)}
    library = Tokenizer(models.BPE(vocab=vocab, merges=pairs))
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    library.add_special_tokens([AddedToken(END_OF_TEXT, normalized=False)])
    named = dict.fromkeys(("bos_token", "eos_token", "unk_token"), END_OF_TEXT)
    return GPT2Tokenizer(TokenizerFiles(library, named, {}))


def save_tiny_model(folder: str | Path, seed: int = 0) -> None:
    """Write `tiny_gpt2` and its tokenizer as a folder that `Generator.from_pretrained` loads.

    Args:
        folder: Where to; made if need be.
        seed: What the weights are drawn with.
    """
    save_pretrained(tiny_gpt2(seed), _config(), tiny_tokenizer(), folder)


def _config() -> GPT2Config:
    end = 256 + len(_MERGES)
    return GPT2Config(
        vocab_size=end + 1,
        n_positions=256,
        n_embd=32,
        n_layer=2,
        n_head=2,
        initializer_range=0.3,
        bos_token_id=end,
        eos_token_id=end,
    )
