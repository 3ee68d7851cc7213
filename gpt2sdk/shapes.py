"""Axis names of the tensors that cross module borders, each defined once.

`rows`: growing sequences of a session. `vocab`: token ids. `time`: places of a padded buffer.
`positions`: scored places, packed one after another. `slots`: places of a cache. `embed`: hidden
units. A single axis is written with a leading blank, as jaxtyping asks.
"""

from jaxtyping import Bool, Float, Int
from torch import Tensor

Logits = Float[Tensor, "rows vocab"]
"""Unnormalised, float32 on entry to a chain; `-inf` where a token is out."""

Tokens = Int[Tensor, " rows"]
"""One token per row, int64; -1 where a row takes none."""

Mask = Bool[Tensor, " rows"]
"""A yes or no per row."""

History = Int[Tensor, "rows time"]
"""Right-padded token ids, int64."""

Counts = Int[Tensor, " rows"]
"""A whole number per row, int64."""

Uniforms = Float[Tensor, " rows"]
"""Numbers in [0, 1), float64."""

Keys = Int[Tensor, "rows 2"]
"""A random 64-bit word per row, as its lower and its upper half, int32."""

Exponentials = Float[Tensor, "rows ids"]
"""Exponentially distributed numbers of mean 1, one for each of some ids, float32."""
