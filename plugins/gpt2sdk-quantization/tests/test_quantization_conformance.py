"""The quantizers keep the promises of their role, with every kernel."""

import os
import platform
import subprocess
import sys

import pytest
import torch

from gpt2sdk.testing import check_quantizer
from gpt2sdk_quantization import int4_kernels, int4_linear, int8_kernels, int8_modules
from gpt2sdk_quantization.int4 import Int4
from gpt2sdk_quantization.int8 import Int8

ROW_TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 8e-3}


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ROW_TOLERANCES, ids=str)
@pytest.mark.parametrize(("bits", "tolerance"), [(16, 1e-4), (8, 0.02)])
def test_rows_in_8_bits_are_bit_equal(bits, tolerance, dtype):
    tolerance = max(tolerance, 5e-3 * (dtype == torch.bfloat16))

    report = check_quantizer(Int8(activation_bits=bits), dtype=dtype, tolerance=tolerance)

    assert report.matrices == 9
    assert report.rows_bit_equal
    assert report.forms_apart == 0.0
    assert report.weight_error < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ROW_TOLERANCES, ids=str)
@pytest.mark.parametrize(("group_size", "error"), [(32, 0.1), (64, 0.13), (128, 0.16)])
def test_4_bits_keep_the_promises(group_size, error, dtype):
    quantizer = Int4(group_size=group_size)

    report = check_quantizer(
        quantizer, dtype=dtype, tolerance=5e-3, row_tolerance=ROW_TOLERANCES[dtype]
    )

    assert report.matrices == 9
    assert report.weight_error < error
    assert report.forms_apart == 0.0


@pytest.mark.slow
def test_8_bits_work_without_kernels(monkeypatch):
    monkeypatch.setattr(int8_modules, "product_base", lambda device: 0)
    monkeypatch.setattr(int8_kernels, "blocked_base", lambda: 0)

    report = check_quantizer(Int8(), tolerance=1e-5)

    assert report.kernels == ("int8 dequantized",)


def test_4_bits_work_without_kernels(monkeypatch):
    monkeypatch.setattr(int4_linear, "has_kernel", lambda device, group_size: False)
    module = linear(Int4(), torch.randn(32, 64))
    module.pack()

    assert module.kernel == "int4 dequantized"


def test_a_kernel_that_computes_nonsense_is_not_used(monkeypatch):
    int8_kernels.product_base.cache_clear()
    int8_kernels.blocked_base.cache_clear()
    int4_kernels.has_kernel.cache_clear()
    # As where a CPU adds products of bytes in 16 bits.
    monkeypatch.setattr(torch, "_int_mm", lambda a, b: (a.int() @ b.int()).clamp(-(2**15), 2**15))
    monkeypatch.setattr(int8_kernels, "plain", lambda matrix: torch.zeros(1))
    monkeypatch.setattr(
        torch,
        "_weight_int4pack_mm_for_cpu",
        lambda x, packed, size, scales: x.new_zeros(len(x), scales.shape[1]),
    )
    try:
        assert not int8_kernels.product_base(torch.device("cpu"))
        assert not int8_kernels.blocked_base()
        assert not int4_kernels.has_kernel(torch.device("cpu"), 64)
    finally:
        int8_kernels.product_base.cache_clear()
        int8_kernels.blocked_base.cache_clear()
        int4_kernels.has_kernel.cache_clear()


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="only x86 has AVX2")
def test_8_bits_keep_the_promises_where_sums_of_bytes_overflow():
    program = (
        "import torch; from gpt2sdk.testing import check_quantizer;"
        "from gpt2sdk_quantization.int8 import Int8;"
        "from gpt2sdk_quantization.int8_kernels import blocked_base, product_base;"
        "torch.set_num_threads(1); report = check_quantizer(Int8(), tolerance=1e-3);"
        "print(product_base(torch.device('cpu')), blocked_base(), report.rows_bit_equal)"
    )
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}

    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )

    # CPUs with VNNI for AVX2 may not overflow.
    assert done.stdout.split() in (["128", "128", "True"], ["256", "256", "True"])


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    ("quantizer", "tolerance"), [(Int8(), 5e-3), (Int8(activation_bits=8), 0.02), (Int4(), 1e-2)]
)
def test_the_promises_are_kept_on_gpus(quantizer, tolerance, dtype):
    check_quantizer(
        quantizer,
        "cuda",
        dtype=dtype,
        tolerance=tolerance,
        row_tolerance=8e-3,
        form_tolerance=8e-3,
    )


def linear(quantizer, weight, bias=None):
    from gpt2sdk import Matrix, Target

    matrix = Matrix("weight", tuple(weight.shape), weight.dtype, "linear")
    return quantizer.linear(
        matrix, iter([weight]), bias, Target(torch.device("cpu"), torch.float32)
    )
