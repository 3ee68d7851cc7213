"""The option that penalties share: how many of a row's last tokens they look at."""

from typing import Annotated

from pydantic import Field

from gpt2sdk import Shared

PenaltyLastN = Annotated[
    int,
    Shared(),
    Field(
        ge=-1,
        description="How many last tokens a penalty looks at, the prompt's among them; -1 for all, "
        "0 for none.",
    ),
]
