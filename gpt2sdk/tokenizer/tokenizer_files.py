"""The files a tokenizer is kept in, of every age, read into the `tokenizers` library."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import WordPiece

from gpt2sdk.config_files import read_json
from gpt2sdk.errors import CheckpointError, TokenizerError
from gpt2sdk.tokenizer.added_tokens import add_in_order
from gpt2sdk.tokenizer.bos import adds_bos, with_bos
from gpt2sdk.tokenizer.byte_pairs import read_byte_pairs
from gpt2sdk.tokenizer.tokenizer_document import read_document

TOKENIZER_FILE = "tokenizer.json"
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
CHAT_TEMPLATE_FILE = "chat_template.jinja"
CHAT_TEMPLATES = "additional_chat_templates"
"""The folder of a model's other chat templates."""
TOKENIZER_FILES = (
    TOKENIZER_FILE,
    TOKENIZER_CONFIG_FILE,
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "encoder.json",
    "vocab.bpe",
    "vocab.txt",
    CHAT_TEMPLATE_FILE,
)
"""Every file that is read here, if it is there."""

_BYTE_LEVEL_PAIRS = (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe"))
_NAMES = (
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
)
_LISTS = ("additional_special_tokens", "extra_special_tokens")
# What the special tokens are where no file names them: in OpenAI's release, and in BERT's.
_GPT2_NAMES = dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>")
_BERT_NAMES = {
    f"{role}_token": f"[{role.upper()}]" for role in ("unk", "sep", "pad", "cls", "mask")
}


@dataclass(frozen=True, slots=True)
class TokenizerFiles:
    """What the files say.

    Attributes:
        library: The tokenizer itself, every added and special token in it.
        special_names: The text of the special tokens that have a role, by "eos_token" and so on.
        settings: What `tokenizer_config.json` holds, to be written back.
        chat_templates: The files of chat templates, by their names in the folder, likewise.
    """

    library: Tokenizer
    special_names: Mapping[str, str]
    settings: Mapping[str, object]
    chat_templates: Mapping[str, bytes] = field(default_factory=dict)


def read_tokenizer(folder: Path) -> TokenizerFiles:
    """Read the tokenizer of a folder.

    Raises:
        TokenizerError: If there is none, or it cannot be read.
    """
    settings = _read_optional(folder / TOKENIZER_CONFIG_FILE)
    named = _read_optional(folder / "special_tokens_map.json") | settings
    added = _added_tokens(folder, settings)
    listed = list(_listed_specials(named))
    library = _read_library(folder, named, added, listed)
    library.no_truncation()
    library.no_padding()
    if isinstance(settings.get("add_prefix_space"), bool):
        _set_prefix_space(library, prefix_space=bool(settings["add_prefix_space"]))
    try:
        add_in_order(library, added)
    except TokenizerError as error:
        raise TokenizerError(f"{folder}: {error}") from error
    names = _special_names(library, named)
    known = {each.content for each in library.get_added_tokens_decoder().values() if each.special}
    specials = {each.content: each for each in [*names.values(), *listed]}
    library.add_tokens([each for text, each in specials.items() if text not in known])
    texts = {key: added.content for key, added in names.items()}
    return TokenizerFiles(library, texts, settings, _chat_templates(folder))


def write_tokenizer(files: TokenizerFiles, folder: Path) -> None:
    """Write `tokenizer.json`, `tokenizer_config.json` and chat templates into an existing folder.

    Where texts begin with the bos token, both files say so: which one counts depends on who reads.
    """
    settings: dict[str, object] = {
        "tokenizer_class": "GPT2Tokenizer"
        if isinstance(files.library.decoder, decoders.ByteLevel)
        else "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
    }
    settings |= files.special_names
    settings |= files.settings
    library = files.library.to_str()
    bos = files.special_names.get("bos_token")
    if bos is not None and adds_bos(files.library, bos, files.settings):
        settings["add_bos_token"] = True
        library = with_bos(files.library, bos)
    (folder / TOKENIZER_FILE).write_text(library, encoding="utf-8")
    text = json.dumps(settings, indent=2, ensure_ascii=False)
    (folder / TOKENIZER_CONFIG_FILE).write_text(f"{text}\n", encoding="utf-8")
    for name, template in files.chat_templates.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(template)


def _read_library(
    folder: Path,
    named: Mapping[str, object],
    added: Sequence[tuple[int, AddedToken]],
    listed: Sequence[AddedToken],
) -> Tokenizer:
    whole = folder / TOKENIZER_FILE
    if whole.is_file():
        return read_document(whole)
    for vocab, merges in _BYTE_LEVEL_PAIRS:
        if (folder / vocab).is_file() and (folder / merges).is_file():
            texts = {token: each.content for token, each in added}
            roles = (_added_token(named.get(name), special=True) for name in _NAMES)
            special = {each.content for each in [*listed, *roles] if each}
            return read_byte_pairs(folder / vocab, folder / merges, texts, special)
    if (folder / "vocab.txt").is_file():
        return _word_piece(folder / "vocab.txt", named)
    models = sorted(file.name for file in folder.glob("*.model"))
    if models:
        raise TokenizerError(
            f"{folder}: expected {TOKENIZER_FILE}, found the SentencePiece model {models[0]}: "
            "convert it once with transformers.AutoTokenizer.from_pretrained(folder)"
            ".save_pretrained(folder)"
        )
    raise TokenizerError(
        f"{folder}: expected {TOKENIZER_FILE}, vocab.json with merges.txt, or vocab.txt; found none"
    )


def _word_piece(vocab: Path, settings: Mapping[str, object]) -> Tokenizer:
    """Build BERT's tokenizer, which several GPT-2 models of Chinese and Japanese use."""
    accents = settings.get("strip_accents")
    unknown = _added_token(settings.get("unk_token", _BERT_NAMES["unk_token"]), special=True)
    try:
        lines = vocab.read_text(encoding="utf-8-sig").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise TokenizerError(f"{vocab}: cannot be read as UTF-8 text: {error}") from error
    words = {line.rstrip(): place for place, line in enumerate(lines)}
    library = Tokenizer(WordPiece(words, unk_token=str(unknown)))
    library.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True) is not False,
        strip_accents=accents if isinstance(accents, bool) else None,
        lowercase=settings.get("do_lower_case", True) is not False,
    )
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    library.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    return library


def _chat_templates(folder: Path) -> dict[str, bytes]:
    files = [folder / CHAT_TEMPLATE_FILE, *sorted((folder / CHAT_TEMPLATES).glob("*.jinja"))]
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in files if file.is_file()
    }


def _set_prefix_space(library: Tokenizer, *, prefix_space: bool) -> None:
    """Follow `tokenizer_config.json` where it and `tokenizer.json` differ, as transformers does."""
    current = library.pre_tokenizer
    if isinstance(current, pre_tokenizers.ByteLevel):
        current.add_prefix_space = prefix_space
        library.pre_tokenizer = current


def _added_tokens(folder: Path, settings: Mapping[str, object]) -> Sequence[tuple[int, AddedToken]]:
    """Return the tokens that other files add to the vocabulary, with their ids."""
    listed = {
        text: (token, AddedToken(text, normalized=True))
        for text, token in _read_optional(folder / "added_tokens.json").items()
        if isinstance(token, int)
    }
    decoder = settings.get("added_tokens_decoder")
    if isinstance(decoder, dict):
        listed |= {
            added.content: (int(token), added)
            for token, value in decoder.items()
            if token.isdecimal() and (added := _added_token(value, special=False))
        }
    return list(listed.values())


def _special_names(library: Tokenizer, named: Mapping[str, object]) -> dict[str, AddedToken]:
    names = {
        name: added for name in _NAMES if (added := _added_token(named.get(name), special=True))
    }
    usual = _BERT_NAMES if isinstance(library.model, WordPiece) else _GPT2_NAMES
    for name, text in usual.items():
        if name not in named and library.token_to_id(text) is not None:
            names[name] = AddedToken(text, normalized=False, special=True)
    return names


def _listed_specials(named: Mapping[str, object]) -> Iterator[AddedToken]:
    for name in _LISTS:
        values = named.get(name)
        for value in values if isinstance(values, list) else ():
            if added := _added_token(value, special=True):
                yield added


def _added_token(value: object, *, special: bool) -> AddedToken | None:
    """Read a token as the files spell it: its text, or a mapping with its text and flags."""
    if isinstance(value, str):
        return AddedToken(value, normalized=not special, special=special)
    if not isinstance(value, dict) or not isinstance(value.get("content"), str):
        return None
    return AddedToken(
        str(value["content"]),
        single_word=value.get("single_word") is True,
        lstrip=value.get("lstrip") is True,
        rstrip=value.get("rstrip") is True,
        normalized=value.get("normalized", not special) is True,
        special=special or value.get("special") is True,
    )


def _read_optional(file: Path) -> dict[str, object]:
    if not file.is_file():
        return {}
    try:
        return read_json(file)
    except CheckpointError as error:
        raise TokenizerError(str(error)) from error
