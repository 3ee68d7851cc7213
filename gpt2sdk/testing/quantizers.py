"""The conformance kit of quantizers: their promises, as checks with numbers."""

from dataclasses import dataclass

import torch

from gpt2sdk.components.quantizer import Quantizer
from gpt2sdk.testing import field_checks, quantizer_checks, quantizer_memory, quantizer_uses
from gpt2sdk.testing.promise import promise
from gpt2sdk.testing.quantizer_cases import Case, cases


@dataclass(frozen=True, slots=True)
class QuantizerReport:
    """What was measured, over all matrices that were tried.

    Attributes:
        matrices: How many were planned for, and tried.
        kernels: How products were computed, with and without packing.
        rows_bit_equal: Whether a row is bit-equal beside any other rows.
        rows_apart: The largest difference else, in parts of a row's largest product.
        product_error: The largest distance of a row of products from those with the dequantized
            matrix, in parts of its norm.
        weight_error: The largest distance of a dequantized matrix from the one given, in parts of
            its norm; weights are normal, with one column 8 times as large.
        forms_apart: The largest difference between products packed and unpacked, in parts of a
            row's largest product; 0 for bit-equal ones.
    """

    matrices: int
    kernels: tuple[str, ...]
    rows_bit_equal: bool
    rows_apart: float
    product_error: float
    weight_error: float
    forms_apart: float


def check_quantizer(
    quantizer: Quantizer,
    device: str | torch.device = "cpu",
    *,
    dtype: torch.dtype = torch.float32,
    tolerance: float = 0.02,
    row_tolerance: float = 1e-5,
    form_tolerance: float = 1e-3,
) -> QuantizerReport:
    """Try a quantizer on square, odd and large matrices, with and without packing.

    Checked are: its fields and settings; planned and real sizes, and what is needed besides;
    products, with rows of zeros and outliers among them; 1 to 64 rows, beside a row 30 times as
    large too; lookups; slabs of any cut; packing, copying, moving, casting and saving, and packing
    while other threads compute; gradients for inputs; what is restored, and what must not be: NaN
    and infinity, too.

    Args:
        quantizer: What is checked.
        device: Where.
        dtype: The type in which the model computes.
        tolerance: How far a row of products may be from those with the dequantized matrix, in
            parts of its norm. Of a kernel in float32, about 1e-6; in bfloat16, 5e-3; with
            activations in 8 bits, 2e-2.
        row_tolerance: How far a row may be from itself beside other rows, in parts of its largest
            product.
        form_tolerance: How far a row of products may be packed from what it is unpacked, in parts
            of its largest product.

    Raises:
        AssertionError: A promise is broken; the message says which, and with what matrix.
        PlacementError: The quantizer does not work on this device.
    """
    device = torch.device(device)
    for check in (
        field_checks.check_name_and_documentation,
        field_checks.check_value,
        field_checks.check_json,
        field_checks.check_wrong_values_are_refused,
        quantizer_checks.check_settings,
    ):
        check(quantizer)
    promise(quantizer.probe(device), f"{quantizer!r}: probe says nothing of how it computes")
    found = [
        _check_case(case, tolerance, row_tolerance, form_tolerance)
        for case in cases(quantizer, device, dtype)
    ]
    promise(found, f"{quantizer!r} plans for no matrix on {device}")
    rows_apart = max(each.rows_apart for each in found)
    return QuantizerReport(
        len(found),
        tuple(sorted({kernel for each in found for kernel in each.kernels})),
        rows_apart == 0.0,
        rows_apart,
        max(each.product_error for each in found),
        max(each.weight_error for each in found),
        max(each.forms_apart for each in found),
    )


def _check_case(
    case: Case, tolerance: float, row_tolerance: float, form_tolerance: float
) -> QuantizerReport:
    quantizer_checks.check_sizes(case)
    quantizer_memory.check_workspace(case)
    weight_error = quantizer_checks.check_dequantized(case)
    product_error = quantizer_checks.check_products(case, tolerance)
    forms_apart = quantizer_uses.check_forms(case, form_tolerance)
    quantizer_checks.check_lookup(case)
    rows_apart = quantizer_checks.check_rows(case, row_tolerance)
    quantizer_checks.check_slabs(case)
    quantizer_checks.check_copies(case)
    quantizer_checks.check_restored(case)
    quantizer_checks.check_corruption(case)
    quantizer_uses.check_threads(case)
    quantizer_uses.check_casts(case)
    quantizer_uses.check_fixed(case)
    quantizer_uses.check_gradients(case)
    quantizer_uses.check_finite(case)
    module = case.make()
    kernels = [module.kernel]
    module.pack()
    kernels.append(module.kernel)
    equal = rows_apart == 0.0
    return QuantizerReport(
        1, tuple(kernels), equal, rows_apart, product_error, weight_error, forms_apart
    )
