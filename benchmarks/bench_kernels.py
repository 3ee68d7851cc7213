"""What a product costs with each kind of quantized matrix, and with each kernel of torch.

GPT-2 124M's matrices with random weights. As in a model, every call reads another of twelve copies
(two for the head), so that they come from memory rather than from the cache; activations are in
float32, with a conversion where a kernel wants another type. Microseconds per call, the ratio to
`torch.nn.functional.linear` in float32, and the error: the largest distance of a row of products
from those with the unquantized matrix, in parts of its norm, for rows of which one has an outlier
of 60 standard deviations. `rows` says whether rows are bit-equal beside other rows.

    python benchmarks/bench_kernels.py [--rounds 9] [--threads 1]
"""

import argparse
import warnings
from collections.abc import Callable, Iterator
from functools import partial

import torch
from record import interleave, save
from torch import Tensor
from torch.nn import functional

from gpt2sdk import Matrix, Quantizer, Target
from gpt2sdk.gpt2 import Linear
from gpt2sdk_quantization.int4 import Int4
from gpt2sdk_quantization.int8 import Int8

SHAPES = {"c_attn": (2304, 768), "attn.c_proj": (768, 768), "c_fc": (3072, 768)}
SHAPES |= {"mlp.c_proj": (768, 3072), "head": (50257, 768)}
ROWS = (1, 8, 32)
Product = Callable[[Tensor], Tensor]


def contestants(weight: Tensor, bias: Tensor, *, head: bool) -> Iterator[tuple[str, Product]]:
    """Yield each kind of product with a matrix."""
    yield "torch float32", partial(functional.linear, weight=weight, bias=bias)
    for dtype in (torch.float32, torch.bfloat16):
        yield f"packed {dtype}".replace("torch.", ""), packed(weight, bias, dtype)
    quantizers: dict[str, Quantizer] = {
        "int8": Int8(),
        "int8, 8-bit activations": Int8(activation_bits=8),
    }
    if not head:
        quantizers |= {f"int4, groups of {size}": Int4(group_size=size) for size in (32, 64, 128)}
    for name, quantizer in quantizers.items():
        yield name, quantized(quantizer, weight, bias, head=head, pack=True)
        if not head and name == "int8":
            yield "int8, not packed", quantized(quantizer, weight, bias, head=head, pack=False)
    yield "linear_dynamic, all rows on one scale", linear_dynamic(weight, bias)
    yield "_weight_int8pack_mm", int8pack(weight, bias)


def packed(weight: Tensor, bias: Tensor, dtype: torch.dtype) -> Product:
    """Return the product of a packed `Linear`."""
    linear = Linear(weight.shape[1], weight.shape[0]).to(dtype)
    with torch.no_grad():
        linear.weight.copy_(weight)
        linear.bias.copy_(bias)
    linear.pack()
    return lambda x: linear(x.to(dtype)).float()


def quantized(
    quantizer: Quantizer, weight: Tensor, bias: Tensor, *, head: bool, pack: bool
) -> Product:
    """Return the product of a quantizer's module."""
    shape = (weight.shape[0], weight.shape[1])
    matrix = Matrix("weight", shape, torch.float32, "table" if head else "linear", tied=head)
    device, dtype = torch.device("cpu"), torch.float32
    if head:
        table = quantizer.table(matrix, iter([weight]), Target(device, dtype))
        return lambda x: table.attend(x) + bias
    module = quantizer.linear(matrix, iter([weight]), bias, Target(device, dtype))
    if pack:
        module.pack()
    return module


def linear_dynamic(weight: Tensor, bias: Tensor) -> Product:
    """Return torch's dynamic quantization, in which a row's scale depends on its neighbours."""
    scale = weight.abs().amax(dim=1) / 127
    zeros = torch.zeros(len(weight), dtype=torch.long)
    # The type is deprecated, which is one reason not to use it.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        numbers = torch.quantize_per_channel(weight, scale, zeros, 0, torch.qint8)
        prepared = torch.ops.quantized.linear_prepack(numbers, bias)
    return lambda x: torch.ops.quantized.linear_dynamic(x, prepared, False)  # noqa: FBT003


def int8pack(weight: Tensor, bias: Tensor) -> Product:
    """Return torch's product of bfloat16 activations with 8-bit weights."""
    scale = weight.abs().amax(dim=1) / 127
    numbers = (weight / scale[:, None]).round().to(torch.int8)
    short = scale.bfloat16()
    return lambda x: (
        torch._weight_int8pack_mm(x.bfloat16(), numbers, short).float()  # noqa: SLF001
        + bias
    )


def measure(name: str, shape: tuple[int, int], rounds: int) -> list[dict[str, object]]:
    """Time every contestant on one shape."""
    copies = 2 if name == "head" else 12
    biases = torch.randn(copies, shape[0]) * 0.1
    weights = torch.randn(copies, *shape) * 0.02
    made: dict[str, list[Product]] = {}
    for weight, bias in zip(weights, biases, strict=True):
        for kind, product in contestants(weight, bias, head=name == "head"):
            made.setdefault(kind, []).append(product)
    x = torch.randn(max(ROWS), shape[1])
    x[3, 5] = 60.0
    exact = functional.linear(x, weights[0], biases[0])
    found: list[dict[str, object]] = []
    for rows in ROWS:
        calls = {kind: partial(run, products, x[:rows]) for kind, products in made.items()}
        seconds = interleave(calls, rounds)
        for kind, products in made.items():
            together = products[0](x)
            off = (together - exact).norm(dim=-1) / (exact - biases[0]).norm(dim=-1)
            alone = torch.cat([products[0](row[None]) for row in x])
            found.append(
                {
                    "matrix": name,
                    "rows": rows,
                    "kernel": kind,
                    "microseconds": 1e6 * seconds[kind] / copies,
                    "times_float32": seconds["torch float32"] / seconds[kind],
                    "error": float(off.max()),
                    "bit_equal_rows": torch.equal(alone, together),
                }
            )
    return found


def run(products: list[Product], x: Tensor) -> None:
    """Multiply by each copy once."""
    for product in products:
        product(x)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    with torch.inference_mode():
        found = [
            row for name, shape in SHAPES.items() for row in measure(name, shape, arguments.rounds)
        ]
    save("kernels", found)


if __name__ == "__main__":
    main()
