"""The settings of an adapter that is to be made."""

from typing import Annotated, ClassVar

from pydantic import Field

from gpt2sdk import Component
from gpt2sdk_train.patterns import Patterns


class LoRA(Component):
    """The size and place of an adapter.

    Example:
        >>> LoRA(rank=4, alpha=8.0).factor
        2.0
    """

    name: ClassVar[str] = "lora"

    rank: Annotated[int, Field(ge=1, description="Columns of the thin matrices.")] = 8
    alpha: Annotated[
        float, Field(gt=0.0, description="What is added is scaled by alpha over the rank.")
    ] = 16.0
    rank_stabilized: Annotated[
        bool,
        Field(
            description="Scale by alpha over the rank's square root, which suits high ranks "
            "(rsLoRA, Kalajdzievski, 2023, arXiv:2312.03732; PEFT's `use_rslora`)."
        ),
    ] = False
    dora: Annotated[
        bool,
        Field(
            description="Learn the length of each column apart from its direction: nearer to full "
            "fine-tuning at low ranks, and slower (DoRA, Liu et al., 2024, arXiv:2402.09353; "
            "PEFT's `use_dora`)."
        ),
    ] = False
    dropout: Annotated[
        float, Field(ge=0.0, lt=1.0, description="Dropout on the input, while training.")
    ] = 0.0
    targets: Annotated[
        Patterns,
        Field(
            min_length=1,
            description="The matrices, as patterns of modules' names: `*.attn.c_attn`, `h.0.*`. "
            "Where left out for another model than a GPT-2, all matrices of its blocks.",
        ),
    ] = ("*.attn.c_attn",)
    base_model: Annotated[
        str | None,
        Field(description="What the model is called that it is for; for who loads the files."),
    ] = None

    @property
    def factor(self) -> float:
        """What the product of the two matrices is multiplied with."""
        return self.alpha / (self.rank**0.5 if self.rank_stabilized else self.rank)
