"""GGUF, the file format of llama.cpp."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, final

import numpy as np
from typing_extensions import override

from gpt2sdk import CheckpointFormat, FormatWords, OpenedFile
from gpt2sdk_gguf.contents import ARCHITECTURE, Contents, Stored
from gpt2sdk_gguf.source import GgufSource
from gpt2sdk_gguf.vocabulary import ends_of, notes, tokenizer_files

_TABLE, _HEAD = "token_embd.weight", "output.weight"
_PLAIN = ("F64", "F32", "F16", "BF16")
_COMPARED_BYTES = 2**22


@final
class Gguf(CheckpointFormat):
    """Reads models from `.gguf` files, as llama.cpp's converter and quantizer write them.

    What the file calls sizes and tensors is translated by the installed architectures. Weights in
    2 to 8 bits are expanded while they are read; `quantization=` makes other ones of them. The file
    holds sizes and tokenizer, too.
    """

    suffix: ClassVar[str] = ".gguf"

    @override
    def open(self, file: Path) -> OpenedFile:
        contents = Contents.read(file)
        tensors = dict(contents.tensors)
        if _is_tied(file, tensors):
            tensors.pop(_HEAD, None)
        source = GgufSource(file, tensors)
        words = FormatWords(
            "gguf", contents.text(ARCHITECTURE), contents.decimals(), source.infos, file
        )
        found = [*_kinds(tensors), *notes(contents)]
        files = tokenizer_files(contents)
        return OpenedFile(source, _token_ids(contents), files, tuple(found), words)


def _token_ids(contents: Contents) -> Mapping[str, object]:
    """Return the tokens with a role, as every config names them."""
    ends = ends_of(contents)
    return {
        "bos_token_id": contents.whole_number("tokenizer.ggml.bos_token_id"),
        "eos_token_id": ends[0] if len(ends) == 1 else list(ends) or None,
        "pad_token_id": contents.whole_number("tokenizer.ggml.padding_token_id"),
    }


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
