#!/usr/bin/env bash
# tokenizers 0.23.3: `encode_special_tokens = True`, which is to make special tokens in a text
# ordinary text, does not where a Unigram, WordPiece or WordLevel model has them in its vocabulary.
#
# The switch keeps the added tokens from being looked for. But T5's, XLM-R's and other SentencePiece
# vocabularies list `</s>` as a piece like any other, with a score of 0, the best there is; so the
# model finds it by itself, and a user's text ends a sequence. With byte fallback, a text that
# spells `<0x41>` out is read as the byte, and decodes as `A`. A BPE makes tokens by merges alone.
#
# Seen:
#   the fox</s> as text: ends with </s>
#   <0x41> as text: decodes as A
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{
    python3 -m venv "$folder/venv" && "$folder/venv/bin/pip" install -qq tokenizers==0.23.3
} || { echo "not tried: the package could not be installed" >&2; exit 2; }

cd "$folder"
PYTHONIOENCODING=utf-8 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import tokenizers
from tokenizers import Tokenizer, decoders, models

print(f"tokenizers {tokenizers.__version__}")
print("A Unigram model takes special tokens and byte pieces from the letters of a text.")

special = ["<unk>", "</s>"]
letters = sorted(set("the fox</s><0x41>"))
pieces = [(each, 0.0) for each in [*special, *(f"<0x{n:02X}>" for n in range(256))]]
pieces += [(each, -3.0) for each in letters]
tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
tokenizer.add_special_tokens(special)
tokenizer.encode_special_tokens = True

ended = tokenizer.encode("the fox</s>").tokens
spelled = tokenizer.decode(tokenizer.encode("<0x41>").ids)
print(f"the fox</s> as text: ends with {ended[-1]}")
print(f"<0x41> as text: decodes as {spelled}")

if (ended[-1], spelled) != ("</s>", "A"):
    sys.exit("changed: text stays text")
print("as described")
PYTHON
