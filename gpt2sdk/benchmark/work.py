"""What a pass of a model cannot do without: bytes that are read, numbers that are multiplied."""

from dataclasses import dataclass

from torch import nn

from gpt2sdk.components.quantized import Quantized
from gpt2sdk.errors import OptionError
from gpt2sdk.generator.generator import Generator


@dataclass(frozen=True, slots=True)
class Work:
    """The least that passes take.

    Attributes:
        weights: Bytes of the matrices that every pass reads, however many rows it has.
        place: Bytes of keys and values that a token leaves behind, to be read with every later one.
        products: Multiplications with weights for a token that is fed.
        head: Multiplications more where its position is scored.
    """

    weights: int
    place: int
    products: int
    head: int

    def read(self, rows: int, length: int) -> int:
        """Return the bytes that one token more for each row reads.

        >>> Work(weights=1000, place=2, products=250, head=50).read(rows=3, length=10)
        1060

        Args:
            rows: How many rows share the pass.
            length: How many tokens each of them holds.
        """
        return self.weights + rows * length * self.place

    def operations(self, tokens: int, scored: int) -> int:
        """Return the multiplications with weights that feeding tokens takes, attention left out.

        >>> Work(weights=1000, place=2, products=250, head=50).operations(tokens=8, scored=1)
        2050
        """
        return tokens * self.products + scored * self.head


def work_of(generator: Generator) -> Work:
    """Return what passes of a loaded model take, with its matrices in the bits they are held in.

    Raises:
        OptionError: Nobody knows which matrices the model has.
    """
    model, architecture, dtype = generator.model, generator.architecture, generator.dtype
    if architecture is None or dtype is None or not isinstance(model, nn.Module):
        raise OptionError("expected a model that was loaded: which matrices it has is not known")
    weights = products = head = 0
    for matrix in architecture.matrices(dtype):
        # Of a table that is no head, only the tokens' rows are read.
        if matrix.use == "table" and not matrix.tied:
            continue
        outputs, inputs = matrix.shape
        module = model.get_submodule(matrix.name.removesuffix(".weight"))
        if isinstance(module, Quantized):
            weights += sum(tensor.nbytes for tensor in module.stored().values())
        else:
            weights += outputs * inputs * dtype.itemsize
        if matrix.use == "linear":
            products += outputs * inputs
        else:
            head += outputs * inputs
    place = sum(
        architecture.cache_nbytes(part, dtype, model.device) for part in architecture.parts()
    )
    return Work(weights, place, products, head)
