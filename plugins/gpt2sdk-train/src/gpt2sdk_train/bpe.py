"""A vocabulary of its own for a text: byte-level BPE, trained by the `tokenizers` library."""

import json
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from tokenizers import Tokenizer as Library
from tokenizers import decoders, models, pre_tokenizers, trainers

from gpt2sdk import SEPARATOR, OptionError, Tokenizer
from gpt2sdk_train.documents import check_documents

_BYTES = 256


def train_tokenizer(
    documents: Iterable[str], *, vocab_size: int, end_token: str = SEPARATOR
) -> Tokenizer:
    """Train GPT-2's kind of tokenizer: byte pairs within words (Radford et al., 2019).

    Any text can be encoded, since every byte is a token. The end token, which also begins texts,
    is token 0. The same documents give the same tokenizer.

    Args:
        documents: The text.
        vocab_size: Tokens wanted; a short text may give fewer.
        end_token: How the end token is spelled.

    Raises:
        OptionError: If `vocab_size` has no room for the bytes and the end token, or `documents` is
            one text.
    """
    check_documents(documents)
    if vocab_size <= _BYTES:
        raise OptionError(
            f"vocab_size={vocab_size}: expected {_BYTES + 1} or more, for every byte and the end "
            "token",
            name="vocab_size",
            value=vocab_size,
            expected=f"{_BYTES + 1} or more",
        )
    library = Library(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[end_token],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    library.train_from_iterator(documents, trainer)
    settings = dict.fromkeys(("bos_token", "eos_token", "unk_token"), end_token)
    with TemporaryDirectory() as folder:
        library.save(f"{folder}/tokenizer.json")
        config = json.dumps({"tokenizer_class": "GPT2Tokenizer", **settings})
        (Path(folder) / "tokenizer_config.json").write_text(config, encoding="utf-8")
        return Tokenizer.from_folder(folder)
