"""The tokenizer of a GGUF file, as the files of the Hugging Face layout."""

import json
from collections.abc import Iterator

from gguf import TokenType
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

from gpt2sdk import CheckpointError
from gpt2sdk_gguf.contents import Contents

_SPECIAL = {
    "bos_token": "tokenizer.ggml.bos_token_id",
    "eos_token": "tokenizer.ggml.eos_token_id",
    "unk_token": "tokenizer.ggml.unknown_token_id",
    "pad_token": "tokenizer.ggml.padding_token_id",
}
_CHAT_TEMPLATE = "tokenizer.chat_template"
# At each of them llama.cpp ends a text: at its end, of a turn and of a message.
_ENDS = tuple(f"tokenizer.ggml.{name}_token_id" for name in ("eos", "eot", "eom"))
_SPLIT_AS_GPT2 = ("gpt-2", "default", "")


def tokenizer_files(contents: Contents) -> dict[str, str]:
    """Return the texts of `tokenizer.json` and `tokenizer_config.json`.

    Raises:
        CheckpointError: If there is no tokenizer, or none of GPT-2's kind.
    """
    model = contents.text("tokenizer.ggml.model")
    tokens = contents.texts("tokenizer.ggml.tokens")
    merges = contents.texts("tokenizer.ggml.merges")
    if not (model and tokens):
        raise CheckpointError(
            f"{contents.path}: has no tokenizer: convert the model again, with its tokenizer files "
            "beside it",
            path=contents.path,
        )
    if model != "gpt2" or not merges:
        raise CheckpointError(
            f"{contents.path}: expected a tokenizer of byte pairs ('gpt2', with merges), found "
            f"{model!r} with {len(merges)} merges",
            path=contents.path,
        )
    settings: dict[str, object] = {"tokenizer_class": "GPT2Tokenizer"}
    library = _library(contents, list(tokens), list(merges))
    special = library.get_added_tokens_decoder()
    for role, key in _SPECIAL.items():
        token = contents.whole_number(key)
        if token is not None and token in special:
            settings[role] = special[token].content
    if contents.settings.get("tokenizer.ggml.add_bos_token") is True:
        settings["add_bos_token"] = True
    if templates := _chat_templates(contents):
        settings["chat_template"] = templates
    return {
        "tokenizer.json": library.to_str(),
        "tokenizer_config.json": json.dumps(settings, ensure_ascii=False),
    }


def _chat_templates(contents: Contents) -> object:
    """Return the one chat template, or several by name, as `tokenizer_config.json` has them."""
    named = {"default": contents.text(_CHAT_TEMPLATE)}
    for name in contents.texts(f"{_CHAT_TEMPLATE}s"):
        named[name] = contents.text(f"{_CHAT_TEMPLATE}.{name}")
    named = {name: text for name, text in named.items() if text}
    if named.keys() <= {"default"}:
        return named.get("default")
    return [{"name": name, "template": text} for name, text in named.items()]


def ends_of(contents: Contents) -> tuple[int, ...]:
    """Return the tokens that end a text."""
    found = (contents.whole_number(key) for key in _ENDS)
    return tuple(dict.fromkeys(token for token in found if token is not None))


def notes(contents: Contents) -> Iterator[str]:
    """Say where text may be split otherwise than by whoever made the file."""
    split = contents.text("tokenizer.ggml.pre")
    if split not in _SPLIT_AS_GPT2:
        yield f"text is split as by GPT-2; the file says {split!r}"


def _library(contents: Contents, tokens: list[str], merges: list[str]) -> Tokenizer:
    kinds = contents.whole_numbers("tokenizer.ggml.token_type")
    if len(kinds) != len(tokens):
        kinds = [int(TokenType.NORMAL)] * len(tokens)
    # What fills gaps in the numbering is no token.
    used = [
        (text, token, kind)
        for token, (text, kind) in enumerate(zip(tokens, kinds, strict=True))
        if kind != TokenType.UNUSED
    ]
    vocabulary = {text: token for text, token, _ in used}
    if len(vocabulary) != len(used):
        raise CheckpointError(
            f"{contents.path}: two tokens have the same text: the file is damaged",
            path=contents.path,
        )
    try:
        library = Tokenizer(BPE(vocabulary, [_pair(merge) for merge in merges]))
    except Exception as error:
        # The library raises plain `Exception`.
        raise CheckpointError(
            f"{contents.path}: its merges do not fit its tokens: {error}", path=contents.path
        ) from error
    prefix = contents.settings.get("tokenizer.ggml.add_space_prefix") is True
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    library.decoder = decoders.ByteLevel()
    special = {contents.whole_number(key) for key in (*_SPECIAL.values(), *_ENDS)}
    for text, token, kind in used:
        named = token in special and not _is_word(library, text, token)
        if kind == TokenType.CONTROL or named:
            library.add_special_tokens([AddedToken(text, normalized=False, special=True)])
        elif kind == TokenType.USER_DEFINED:
            library.add_tokens([AddedToken(text, normalized=False)])
    return library


def _is_word(library: Tokenizer, text: str, token: int) -> bool:
    """Whether the merges make this token of a text: some files name end tokens of other models."""
    return [part.id for part in library.model.tokenize(text)] == [token]


def _pair(merge: str) -> tuple[str, str]:
    """Split a merge at its space; byte-level texts have none themselves.

    >>> _pair("Ġ t")
    ('Ġ', 't')
    """
    left, _, right = merge.partition(" ")
    return left, right
