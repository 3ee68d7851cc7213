"""A network that can be looked into while it computes."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from torch import Tensor, nn

from gpt2sdk.gpt2.capture import Activations, capturing, patching


class Observed(nn.Module):
    """A module of which every other one inside can be recorded, or changed."""

    def capture(self, *patterns: str, inputs: bool = False) -> AbstractContextManager[Activations]:
        """Record what modules return, in `forward` and in `score`.

        Args:
            patterns: Names of modules, with `*`, `?` and `[…]` standing for what they do in file
                names: `h.*.mlp`.
            inputs: Record what they are given, too.

        Returns:
            A context, whose value maps each module's name to its outputs, one tensor per call.

        Raises:
            OptionError: If a pattern matches no module.

        Example:
            >>> import torch
            >>> from gpt2sdk import GPT2Config
            >>> from gpt2sdk.gpt2 import GPT2
            >>> config = GPT2Config(vocab_size=7, n_positions=8, n_embd=4, n_layer=2, n_head=2)
            >>> model = GPT2(config)
            >>> with model.capture("h.*.mlp") as activations:
            ...     output = model(torch.tensor([[3, 1, 4]]))
            >>> {name: tuple(outputs[0].shape) for name, outputs in activations.items()}
            {'h.0.mlp': (1, 3, 4), 'h.1.mlp': (1, 3, 4)}
        """
        return capturing(self, patterns, inputs=inputs)

    def patch(
        self,
        changes: str | Mapping[str, Callable[[Tensor], Tensor]],
        change: Callable[[Tensor], Tensor] | None = None,
    ) -> AbstractContextManager[None]:
        """Change what modules return, in `forward` and in `score`.

        Args:
            changes: Patterns as for `capture`, each with a function from a module's output to what
                is used instead; or one pattern.
            change: The function for that one pattern.

        Raises:
            OptionError: If a pattern matches no module, or a function returns another shape.

        Example:
            >>> import torch
            >>> from gpt2sdk import GPT2Config
            >>> from gpt2sdk.gpt2 import GPT2
            >>> config = GPT2Config(vocab_size=7, n_positions=8, n_embd=4, n_layer=2, n_head=2)
            >>> model = GPT2(config)
            >>> with model.patch("h.1.mlp", torch.zeros_like):
            ...     without = model(torch.tensor([[3, 1, 4]]))
        """
        return patching(self, changes, change)
