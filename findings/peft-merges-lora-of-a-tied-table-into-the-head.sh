#!/usr/bin/env bash
# peft 0.21.2 with transformers 5.24.0: merging a LoRA adapter of `wte` changes a tied model's logits.
#
# GPT-2 reads its table of tokens `wte` at the start and, as `lm_head`, again at the end. An adapter
# whose target is `wte` changes the lookup at the start only, while it is not merged. But
# `merge_and_unload()` adds it to the matrix that both share, so that the head changes as well: the
# logits differ from those of the adapted model, without an error or a warning, and by more than the
# adapter itself changed them here. An adapter of `c_attn`, which is shared with nothing, gives the
# same logits merged and unmerged. `ensure_weight_tying=True` does not help.
#
# Seen with torch 2.13.0:
#   c_attn: adapted against base 1.9e-01, merged against adapted 5.2e-08
#   wte: adapted against base 4.1e-01, merged against adapted 9.7e+01, head still tied: True
#   wte with ensure_weight_tying: merged against adapted 1.1e+02
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{
    python3 -m venv "$folder/venv" &&
        "$folder/venv/bin/pip" install -qq torch==2.13.0 transformers==5.24.0 peft==0.21.2
} || { echo "not tried: the packages could not be installed" >&2; exit 2; }

cd "$folder"
HF_HUB_OFFLINE=1 PYTHONWARNINGS=ignore "$folder/venv/bin/python" - <<'PYTHON'
import copy
import sys

import peft
import torch
import transformers
from transformers import GPT2Config, GPT2LMHeadModel

print(f"peft {peft.__version__}, transformers {transformers.__version__}, torch {torch.__version__}")
print("Merging a LoRA adapter of wte changes the logits of a GPT-2 whose head is tied to it.")

torch.manual_seed(0)
shape = {"vocab_size": 50, "n_positions": 16, "n_embd": 16, "n_layer": 2, "n_head": 2}
base = GPT2LMHeadModel(GPT2Config(**shape, bos_token_id=0, eos_token_id=0)).eval()
ids = torch.tensor([[1, 2, 3, 4]])


def distance(first, second):
    return (first - second).abs().max().item()


@torch.no_grad()
def changes(target, **options):
    """Return how far apart base and adapted, and adapted and merged logits are; and the tie."""
    config = peft.LoraConfig(target_modules=[target], r=4, init_lora_weights=False, **options)
    adapted = peft.get_peft_model(copy.deepcopy(base), config).eval()
    before = adapted(ids).logits
    merged = adapted.merge_and_unload()
    tied = merged.lm_head.weight is merged.transformer.wte.weight
    return distance(base(ids).logits, before), distance(before, merged(ids).logits), tied


adds, same, _ = changes("c_attn", fan_in_fan_out=True)
print(f"c_attn: adapted against base {adds:.1e}, merged against adapted {same:.1e}")
adds, differs, tied = changes("wte")
print(f"wte: adapted against base {adds:.1e}, merged against adapted {differs:.1e}, ", end="")
print(f"head still tied: {tied}")
_, asked, _ = changes("wte", ensure_weight_tying=True)
print(f"wte with ensure_weight_tying: merged against adapted {asked:.1e}")

if not (same < 1e-5 and differs > 1 and asked > 1 and tied):
    sys.exit("changed: merging no longer adds the adapter to the shared table")
print("as described")
PYTHON
