"""One small tokenizer of each kind, trained on the spot."""

import json

import pytest
from tokenizers import (
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from tokenizers import Tokenizer as Library

from gpt2sdk.tokenizer.tokenizer import Tokenizer

TALES = [
    "Once upon a time there was a little fox who lived under the roots of an old oak.",
    "The fox was not afraid of the wolf, and the wolf was not fond of the fox.",
    "Every evening the miller's daughter carried a lantern over the bridge of stones.",
    "“Who goes there?” asked the owl. “It is only me,” said the hedgehog, “and my three sons.”",
    "Då kom en gås, naïve and très élégante, and asked the old king for a café by the sea.",
    "And they lived in the mill, the fox, the owl and the miller's daughter, until the winter.",
]
BLANK = "▁"
SENTENCE_PIECES = ["<unk>", "<s>", "</s>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def byte_level():
    library = Library(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    library.train_from_iterator(TALES, trainer)
    return library


def _fallback_decoder(strip):
    parts = [decoders.Replace(BLANK, " "), decoders.ByteFallback(), decoders.Fuse()]
    return decoders.Sequence([*parts, *([decoders.Strip(" ", 1, 0)] if strip else [])])


def _with_bos(library, bos="<s>"):
    token = library.token_to_id(bos)
    library.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, token)]
    )
    return library


def llama(prepend=True):
    """Llama 2's and Mistral's kind: BPE with byte fallback, blanks by a normalizer."""
    library = Library(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))  # noqa: S106
    parts = [normalizers.Prepend(BLANK)] if prepend else []
    library.normalizer = normalizers.Sequence([*parts, normalizers.Replace(" ", BLANK)])
    library.decoder = _fallback_decoder(strip=prepend)
    trainer = trainers.BpeTrainer(
        vocab_size=520,
        special_tokens=[*SENTENCE_PIECES, *BYTES],
        max_token_length=12,
        show_progress=False,
    )
    library.train_from_iterator((word for tale in TALES for word in _words(tale)), trainer)
    return _with_bos(_only_special(library, SENTENCE_PIECES))


def _words(tale):
    """Cut before blanks, as pieces are to be."""
    return [f" {word}" for word in tale.split(" ")]


def _only_special(library, special):
    """Byte pieces are no special tokens: they were only to be in the vocabulary."""
    written = json.loads(library.to_str())
    kept = [each for each in written["added_tokens"] if each["content"] in special]
    return Library.from_str(json.dumps(written | {"added_tokens": kept}))


def metaspace_llama():
    """The same as transformers writes it today: Metaspace before the first word of a text."""
    library = llama()
    library.normalizer = normalizers.Sequence([])
    library.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    return library


def gemma():
    """Gemma's kind: no blank before a text, none taken away."""
    return llama(prepend=False)


def unigram(*, byte_fallback=False):
    library = Library(models.Unigram())
    library.pre_tokenizer = pre_tokenizers.Metaspace()
    library.decoder = decoders.Metaspace()
    special = [*SENTENCE_PIECES, *(BYTES if byte_fallback else [])]
    trainer = trainers.UnigramTrainer(
        vocab_size=160 + len(special),
        special_tokens=special,
        unk_token="<unk>",  # noqa: S106
        initial_alphabet=list("<>/|[]_x01234567890ABCDEF"),
        show_progress=False,
    )
    library.train_from_iterator(TALES, trainer)
    library = _only_special(library, SENTENCE_PIECES)
    if byte_fallback:
        written = json.loads(library.to_str())
        written["model"]["byte_fallback"] = True
        library = Library.from_str(json.dumps(written))
        library.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    return _with_bos(library)


def word_piece(*, cleanup=True):
    library = Library(models.WordPiece(unk_token="[UNK]"))  # noqa: S106
    library.normalizer = normalizers.BertNormalizer(lowercase=True)
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    library.decoder = decoders.WordPiece(cleanup=cleanup)
    trainer = trainers.WordPieceTrainer(
        vocab_size=200,
        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
        show_progress=False,
    )
    library.train_from_iterator(TALES, trainer)
    return library


KINDS = {
    "byte-level": byte_level,
    "llama": llama,
    "metaspace-llama": metaspace_llama,
    "gemma": gemma,
    "unigram": unigram,
    "unigram-bytes": lambda: unigram(byte_fallback=True),
    "word-piece": word_piece,
    "word-piece-plain": lambda: word_piece(cleanup=False),
}


NAMES = {
    "byte-level": {"bos_token": None, "eos_token": "<|im_end|>"},
    "word-piece": {"eos_token": "[SEP]"},
    "word-piece-plain": {"eos_token": "[SEP]"},
}
"""What `tokenizer_config.json` calls special tokens, where it is not SentencePiece's names."""


def write_tongue(kind, folder, **settings):
    """Write a tokenizer as models have it."""
    KINDS[kind]().save(str(folder / "tokenizer.json"))
    usual = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    named = NAMES.get(kind, usual) | settings
    (folder / "tokenizer_config.json").write_text(json.dumps(named), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tongues(tmp_path_factory):
    """The tokenizer of each kind, read from its folder."""
    return {
        kind: Tokenizer.from_folder(write_tongue(kind, tmp_path_factory.mktemp(kind)))
        for kind in KINDS
    }
