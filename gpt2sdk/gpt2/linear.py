"""The model's matrices, plain or packed."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from gpt2sdk.gpt2.packable import Packable


class Linear(Packable, nn.Linear):
    """`x Wᵀ + b` with W stored `[out, in]`; its values are left unset for who builds it."""

    @override
    def reset_parameters(self) -> None:
        """Leave the values unset: the model draws or loads them all at once."""

    @override
    def forward(self, input: Float[Tensor, "*places in"]) -> Float[Tensor, "*places out"]:
        packed, weight = self._held(input, self.bias)
        return functional.linear(input, weight, self.bias) if packed is None else packed(input)
