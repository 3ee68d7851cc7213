"""The quantizers keep the promises of their role."""

import pytest
import torch

from gpt2sdk.testing import check_quantizer
from gpt2sdk_bitsandbytes.four_bit import BnbFp4, BnbNf4
from gpt2sdk_bitsandbytes.int8 import BnbInt8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("quantizer", "error"),
    [
        (BnbInt8(), 0.03),
        (BnbInt8(threshold=0.0, embeddings="none"), 0.03),
        (BnbNf4(), 0.15),
        (BnbNf4(embeddings="head"), 0.15),
        (BnbNf4(double_quant=False, block_size=32, skip_modules=("lm_head",)), 0.15),
        (BnbNf4(compute_dtype="float32", block_size=128), 0.2),
        (BnbFp4(embeddings="none"), 0.25),
    ],
    ids=str,
)
def test_quantizers_keep_their_promises(quantizer, error):
    report = check_quantizer(quantizer)

    assert report.weight_error < error
    assert report.rows_apart <= 1e-5
    assert report.forms_apart == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("quantizer", [BnbInt8(), BnbNf4()], ids=str)
def test_quantizers_keep_their_promises_in_bfloat16(quantizer):
    report = check_quantizer(quantizer, dtype=torch.bfloat16, row_tolerance=8e-3)

    assert report.matrices == 9
