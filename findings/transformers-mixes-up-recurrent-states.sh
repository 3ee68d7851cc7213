#!/usr/bin/env bash
# transformers 5.24.0: some recurrent models lose their states, keep old ones, or mix up rows.
#
# Mamba: several tokens at once behind a cache begin at a state of zeros; all before is forgotten.
# (mamba, falcon_mamba, jamba and zamba share the scan, which is given no initial state.)
# RWKV: of two rows that are fed one token each, the second gets logits that are not its own; its
# logits are [2, 2, vocabulary]. And the first call divides weights of the network in place.
# RecurrentGemma: states are kept in the modules, so a prompt of one token goes on from the text
# that `generate` wrote in the call before. No warning anywhere.
#
# Seen (largest difference from logits of the whole text; or the texts):
#   mamba, 4 tokens at once behind 8: 0.4 off; one by one: 0.0 off
#   rwkv, second of two rows: 3.9 off, logits (2, 2, 60); alone: 0.0 off; weights changed: True
#   recurrent_gemma, the same prompt of one token, greedy, before and behind another: other texts
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{
    python3 -m venv "$folder/venv" &&
        "$folder/venv/bin/pip" install -qq transformers==5.24.0 torch
} || { echo "not tried: the packages could not be installed" >&2; exit 2; }

cd "$folder"
HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error "$folder/venv/bin/python" - <<'PYTHON'
import sys

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache

print(f"transformers {transformers.__version__}, torch {torch.__version__}")
SIZES = {"vocab_size": 60, "hidden_size": 32, "bos_token_id": 1, "eos_token_id": None}
torch.set_grad_enabled(False)


def made(kind, **sizes):
    """Return a tiny network with random weights."""
    torch.manual_seed(0)
    network = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **SIZES, **sizes)).eval()
    for parameter in network.parameters():
        parameter += torch.randn_like(parameter) / 5
    return network


def off(found, wanted):
    """Return the largest difference."""
    return float((found - wanted).abs().max())


text = torch.tensor([[3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]])
mamba = made("mamba", num_hidden_layers=2, state_size=4)
wanted = mamba(text, use_cache=False).logits[:, 8:]
together, single = DynamicCache(config=mamba.config), DynamicCache(config=mamba.config)
mamba(text[:, :8], cache=together, use_cache=True)
at_once = off(mamba(text[:, 8:], cache=together, use_cache=True).logits, wanted)
mamba(text[:, :8], cache=single, use_cache=True)
steps = [mamba(text[:, at : at + 1], cache=single, use_cache=True).logits for at in range(8, 12)]
one_by_one = off(torch.cat(steps, 1), wanted)
print(f"mamba, 4 tokens at once behind 8: {at_once:.1f} off; one by one: {one_by_one:.1f} off")

rwkv = made("rwkv", num_hidden_layers=2, context_length=64, rescale_every=1)
weight = rwkv.rwkv.blocks[1].attention.output.weight
before = weight.clone()
rows, new = torch.tensor([[3, 4, 5], [6, 7, 8]]), torch.tensor([[9], [10]])
wanted = rwkv(torch.tensor([[6, 7, 8, 10]]), use_cache=False).logits[0, -1]
both = rwkv(new, state=rwkv(rows, use_cache=True).state, use_cache=True).logits
alone = rwkv(new[1:], state=rwkv(rows[1:], use_cache=True).state, use_cache=True).logits
mixed, right = off(both[1, -1], wanted), off(alone[0, -1], wanted)
changed = not torch.equal(weight, before)
print(f"rwkv, second of two rows: {mixed:.1f} off, logits {tuple(both.shape)}; ", end="")
print(f"alone: {right:.1f} off; weights changed: {changed}")

gemma = made(
    "recurrent_gemma",
    intermediate_size=48,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=1,
    head_dim=8,
    lru_width=32,
    attention_window_size=64,
)


def written(*ids):
    """Return what it goes on with."""
    rows = torch.tensor([ids])
    mask = torch.ones_like(rows)
    return gemma.generate(rows, attention_mask=mask, do_sample=False, max_new_tokens=8).tolist()


first = written(9)
written(3, 4, 5, 6, 7)
again = written(9)
print("recurrent_gemma, the same prompt of one token, greedy, before and behind another: ", end="")
print("other texts" if first != again else "the same text")

if at_once < 0.1 or one_by_one > 0.01 or mixed < 0.1 or right > 0.01 or not changed:
    sys.exit("changed: states are not lost or mixed up as described")
if first == again:
    sys.exit("changed: RecurrentGemma forgets the text before")
print("as described")
PYTHON
