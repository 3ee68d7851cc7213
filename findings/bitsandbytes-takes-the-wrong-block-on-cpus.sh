#!/usr/bin/env bash
# bitsandbytes 0.50.2 on a CPU with AVX-512: 4-bit matrices are dequantized with the wrong blocks.
#
# Blocks run on through the rows of a matrix: of 96 numbers a row and 64 a block, the second block
# ends within the second row. `quantize_4bit` counts so, but `dequantize_4bit` on a CPU counts
# anew in each row, as if each had `width // block` blocks, so from the second row on, numbers are
# multiplied by another block's statistic. No error or warning says so. Numbers are right where the
# width is a multiple of the block's size, and at widths such as 97 and 100, which are no multiples
# of 16. Here the bytes are also expanded by hand: value of each half byte, times the statistic of
# its block.
#
# Seen with torch 2.13.0, NF4, 8 rows, blocks of 64:
#   width  64: farthest from the matrix 0.31, expanded by hand 0.31
#   width  96: farthest from the matrix 1.54, expanded by hand 0.39
#   width  97: farthest from the matrix 0.35, expanded by hand 0.35
#   width 100: farthest from the matrix 0.38, expanded by hand 0.38
#   width 128: farthest from the matrix 0.37, expanded by hand 0.37
#   width 160: farthest from the matrix 1.87, expanded by hand 0.43
#   wrong widths: [96, 160], of these not explained by counting in each row: []
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{
    python3 -m venv "$folder/venv" &&
        "$folder/venv/bin/pip" install -qq torch==2.13.0 bitsandbytes==0.50.2
} || { echo "not tried: the packages could not be installed" >&2; exit 2; }

cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import bitsandbytes
import torch
from bitsandbytes.functional import dequantize_4bit, quantize_4bit

capability = torch.backends.cpu.get_cpu_capability()
print(f"bitsandbytes {bitsandbytes.__version__}, torch {torch.__version__}, {capability}")
if "AVX512" not in capability:
    print("not tried: this CPU has no AVX-512, whose kernel it is about", file=sys.stderr)
    sys.exit(2)
print("4-bit matrices whose rows end within a block are dequantized with other blocks' statistics.")

ROWS, BLOCK = 8, 64
torch.manual_seed(0)


def expansions(width):
    """Return a matrix, its numbers as bitsandbytes reads them, by hand, and counted by rows."""
    matrix = torch.randn(ROWS, width)
    packed, state = quantize_4bit(matrix, blocksize=BLOCK, quant_type="nf4")
    halves = torch.stack([packed.flatten() >> 4, packed.flatten() & 15], dim=1).long()
    values = state.code[halves].view(ROWS, width)
    of_block = torch.arange(ROWS * width).view(ROWS, width) // BLOCK
    by_rows = torch.arange(ROWS)[:, None] * (width // BLOCK) + torch.arange(width) // BLOCK
    found = dequantize_4bit(packed, state)
    return matrix, found, values * state.absmax[of_block], values * state.absmax[by_rows]


def farthest(first, second):
    return (first - second).abs().max().item()


wrong, unexplained = [], []
for width in (64, 96, 97, 100, 128, 160):
    matrix, found, by_hand, by_rows = expansions(width)
    error, least = farthest(matrix, found), farthest(matrix, by_hand)
    print(f"width {width:3}: farthest from the matrix {error:.2f}, expanded by hand {least:.2f}")
    if not torch.allclose(found, by_hand, atol=1e-5):
        wrong.append(width)
        if not torch.allclose(found, by_rows, atol=1e-5):
            unexplained.append(width)

print(f"wrong widths: {wrong}, of these not explained by counting in each row: {unexplained}")
if (wrong, unexplained) != ([96, 160], []):
    sys.exit("changed: widths 96 and 160 alone should be wrong, by blocks counted in each row")
print("as described")
PYTHON
