"""GGUF, the file format of llama.cpp, with GPT-2 models in it."""

from collections import Counter
from pathlib import Path
from typing import ClassVar, final

import numpy as np
from typing_extensions import override

from gpt2sdk import CheckpointError, CheckpointFormat, OpenedFile
from gpt2sdk_gguf.contents import ARCHITECTURE, Contents, Stored
from gpt2sdk_gguf.names import own_name
from gpt2sdk_gguf.source import GgufSource
from gpt2sdk_gguf.vocabulary import ends_of, notes, tokenizer_files

_TABLE, _POSITIONS, _HEAD = "wte.weight", "wpe.weight", "lm_head.weight"
_PLAIN = ("F64", "F32", "F16", "BF16")
_COMPARED_BYTES = 2**22


@final
class Gguf(CheckpointFormat):
    """Reads GPT-2 models from `.gguf` files, as llama.cpp's converter and quantizer write them.

    Weights in 2 to 8 bits are expanded while they are read; `quantization=` makes other ones of
    them. The file holds sizes and tokenizer, too.
    """

    suffix: ClassVar[str] = ".gguf"

    @override
    def open(self, file: Path) -> OpenedFile:
        contents = Contents.read(file)
        architecture = contents.text(ARCHITECTURE)
        if architecture != "gpt2":
            raise CheckpointError(
                f"{file}: expected the architecture 'gpt2', found {architecture!r}", path=file
            )
        tensors = {own_name(name): tensor for name, tensor in contents.tensors.items()}
        tied = _is_tied(file, tensors)
        if tied:
            tensors.pop(_HEAD, None)
        source = GgufSource(file, tensors)
        config = _config(contents, tensors, tied=tied)
        found = [*_kinds(tensors), *notes(contents)]
        return OpenedFile(source, config, tokenizer_files(contents), tuple(found))


def _config(contents: Contents, tensors: dict[str, Stored], *, tied: bool) -> dict[str, object]:
    """Read the sizes; the tables say themselves how long they are."""
    missing = sorted({_TABLE, _POSITIONS} - tensors.keys())
    if missing:
        raise CheckpointError(
            f"{contents.path}: expected the tensors of a GPT-2, found no {' and '.join(missing)}",
            path=contents.path,
            missing=missing,
        )
    ends = ends_of(contents)
    sizes: dict[str, object] = {
        "vocab_size": tensors[_TABLE].shape[0],
        "n_positions": tensors[_POSITIONS].shape[0],
        "n_embd": contents.whole_number("gpt2.embedding_length"),
        "n_layer": contents.whole_number("gpt2.block_count"),
        "n_head": contents.whole_number("gpt2.attention.head_count"),
        "n_inner": contents.whole_number("gpt2.feed_forward_length"),
        "layer_norm_epsilon": contents.number("gpt2.attention.layer_norm_epsilon"),
        "bos_token_id": contents.whole_number("tokenizer.ggml.bos_token_id"),
        "eos_token_id": ends[0] if len(ends) == 1 else list(ends) or None,
        "pad_token_id": contents.whole_number("tokenizer.ggml.padding_token_id"),
        "tie_word_embeddings": tied,
    }
    needed = ("n_embd", "n_layer", "n_head", "layer_norm_epsilon")
    absent = [name for name in needed if sizes[name] is None]
    if absent:
        raise CheckpointError(
            f"{contents.path}: its settings lack {', '.join(absent)}: it is damaged, or no GPT-2",
            path=contents.path,
        )
    return {"model_type": "gpt2", **sizes}


def _is_tied(file: Path, tensors: dict[str, Stored]) -> bool:
    """Whether the head is the table: it is not there, or is the same bytes once more.

    Older converters wrote a tied head as a second copy; quantizers may give the two different
    types, and then they are different matrices.
    """
    head, table = tensors.get(_HEAD), tensors.get(_TABLE)
    if head is None or table is None:
        return True
    if (head.kind, head.shape) != (table.kind, table.shape):
        return False
    maps = [np.memmap(file, np.uint8, "r", each.offset, (each.nbytes,)) for each in (head, table)]
    pieces = range(0, head.nbytes, _COMPARED_BYTES)
    return all(
        np.array_equal(maps[0][at : at + _COMPARED_BYTES], maps[1][at : at + _COMPARED_BYTES])
        for at in pieces
    )


def _kinds(tensors: dict[str, Stored]) -> list[str]:
    """Say which types were expanded."""
    kinds = Counter(tensor.kind.name for tensor in tensors.values())
    expanded = [f"{count} in {kind}" for kind, count in kinds.items() if kind not in _PLAIN]
    return [f"tensors were expanded to float32: {', '.join(expanded)}"] if expanded else []
