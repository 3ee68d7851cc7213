"""What the placements of this package share: their settings, and how they are carried out."""

from pydantic import Field
from torch import nn
from typing_extensions import override

from gpt2sdk import Placement, PlacementPlan, Residency
from gpt2sdk_accelerate.placed_parts import PlacedParts


class Planned(Placement):
    """A placement whose plan `PlacedParts` carries out.

    Attributes:
        cache_tokens: Tokens, of all rows together, for whose keys and values room is kept on the
            devices that compute blocks; 0 or more. 1024 is one row of GPT-2's full context.
        offload_folder: Where weights that are kept on disk are written; the folder is there. They
            stay there as safetensors files, one for each part. By default they are written to
            files without a name in a temporary folder, which are gone with the model.
    """

    cache_tokens: int = Field(
        1024, ge=0, description="tokens for whose keys and values room is kept"
    )
    offload_folder: str | None = Field(None, description="where weights on disk are written")

    @override
    def residency(self, plan: PlacementPlan, model: nn.Module) -> Residency:
        return PlacedParts.of(plan, self.offload_folder)
