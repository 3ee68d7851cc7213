"""What the placements of this package share: their settings, and how they are carried out."""

from collections.abc import Sequence

from pydantic import Field
from torch import nn
from typing_extensions import override

from gpt2sdk import Part, Placement, PlacementPlan, Residency
from gpt2sdk_accelerate.placed_parts import PlacedParts


class Planned(Placement):
    """A placement whose plan `PlacedParts` carries out.

    Attributes:
        cache_tokens: Tokens, of all rows together, for whose keys and values room is kept on the
            devices that compute blocks; 0 or more. One row of the model's full context by default.
        offload_folder: Where weights that are kept on disk are written; the folder is there. They
            stay there as safetensors files, one for each part. By default they are written to
            files without a name in a temporary folder, which are gone with the model.
    """

    cache_tokens: int | None = Field(
        None, ge=0, description="tokens for whose keys and values room is kept"
    )
    offload_folder: str | None = Field(None, description="where weights on disk are written")

    def reserved_tokens(self, parts: Sequence[Part]) -> int:
        """Return for how many tokens room is kept."""
        if self.cache_tokens is not None:
            return self.cache_tokens
        return max((part.reserved_tokens for part in parts), default=0)

    @override
    def residency(self, plan: PlacementPlan, model: nn.Module) -> Residency:
        return PlacedParts.of(plan, self.offload_folder)
