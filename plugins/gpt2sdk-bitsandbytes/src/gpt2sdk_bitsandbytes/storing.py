"""A matrix in 4 bits in a checkpoint, as transformers and bitsandbytes write it.

Two numbers a byte, and beside them the largest magnitude of each block, which may be quantized
itself, the tables of values, and a JSON text.
"""

import json
from collections.abc import Mapping

import torch
from torch import Tensor

from gpt2sdk import CheckpointError, Matrix, check_finite
from gpt2sdk_bitsandbytes import library
from gpt2sdk_bitsandbytes.scheme import STATISTICS_BLOCK, Nested, Numbers, Scheme
from gpt2sdk_bitsandbytes.taking import take

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def store(numbers: Numbers, scheme: Scheme, shape: tuple[int, int]) -> dict[str, Tensor]:
    """Return what a checkpoint holds of a matrix."""
    state: dict[str, object] = {
        "quant_type": scheme.kind,
        "blocksize": scheme.block_size,
        "dtype": str(numbers.dtype).removeprefix("torch."),
        "shape": shape,
    }
    tensors = {
        "": numbers.halves.view(-1, 1),
        ".absmax": numbers.absmax,
        ".quant_map": numbers.quant_map,
    }
    if nested := numbers.nested:
        tensors |= {".nested_absmax": nested.absmax, ".nested_quant_map": nested.quant_map}
        state |= {
            "nested_blocksize": STATISTICS_BLOCK,
            "nested_dtype": "float32",
            "nested_offset": nested.offset.item(),
        }
    text = bytearray(json.dumps(state).encode())
    return tensors | {scheme.state_name: torch.frombuffer(text, dtype=torch.uint8)}


def restore(matrix: Matrix, scheme: Scheme, tensors: Mapping[str, Tensor]) -> Numbers:
    """Read what a checkpoint holds of a matrix.

    Raises:
        CheckpointError: If something is missing, or contradicts the rest or the scheme, or is not
            finite.
    """
    found = take(matrix, scheme.stored(matrix), tensors)
    state = _read_state(matrix, scheme, found[scheme.state_name])
    if not torch.allclose(found[".quant_map"], library.quant_map(scheme.kind), atol=1e-6):
        raise CheckpointError(f"{matrix.name}.quant_map: is not the table of {scheme.kind}")
    nested = None
    floats = [each for each in found.values() if each.is_floating_point()]
    if scheme.double:
        offset = torch.tensor(state["nested_offset"], dtype=torch.float32)
        floats.append(offset)
        nested = Nested(found[".nested_absmax"], found[".nested_quant_map"], offset)
    check_finite(matrix, "scales", *floats)
    dtype = _DTYPES[str(state["dtype"])]
    return Numbers(found[""].view(-1), found[".absmax"], found[".quant_map"], nested, dtype)


def _read_state(matrix: Matrix, scheme: Scheme, text: Tensor) -> dict[str, object]:
    """Read the JSON text, and compare it with what is expected."""
    where = f"{matrix.name}{scheme.state_name}"
    try:
        state = json.loads(bytes(text.tolist()))
    except ValueError as error:
        raise CheckpointError(f"{where}: expected JSON: {error}") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{where}: expected a JSON object, found {state!r}")
    shape = list(matrix.shape)
    if state.get("shape") == shape[::-1] != shape:
        raise CheckpointError(
            f"{where}: the matrix was quantized as [in, out] = {shape[::-1]}, expected [out, in]: "
            "quantize the model that it was made from once more"
        )
    for key, expected in _expected_state(scheme, shape).items():
        if state.get(key) not in expected:
            wanted = " or ".join(map(repr, expected))
            raise CheckpointError(f"{where}: expected {key}={wanted}, found {state.get(key)!r}")
    offset = state.get("nested_offset")
    if scheme.double and not isinstance(offset, float):
        raise CheckpointError(f"{where}: expected a number as nested_offset, found {offset!r}")
    return state


def _expected_state(scheme: Scheme, shape: list[int]) -> dict[str, tuple[object, ...]]:
    expected: dict[str, tuple[object, ...]] = {
        "quant_type": (scheme.kind,),
        "blocksize": (scheme.block_size,),
        "shape": (shape,),
        "dtype": tuple(_DTYPES),
    }
    if scheme.double:
        expected |= {"nested_blocksize": (STATISTICS_BLOCK,), "nested_dtype": ("float32",)}
    return expected
