"""A network of transformers that computes whole sequences by itself, as training wants it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jaxtyping import Float, Int
from torch import Tensor, nn

from gpt2sdk_transformers.exposed import read_past
from gpt2sdk_transformers.network import SharedHead, name_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# What a config says that changes nothing of what is computed.
_NO_SIZES = frozenset(
    {"dtype", "torch_dtype", "transformers_version", "architectures", "use_cache", "_name_or_path"}
    | {"bos_token_id", "eos_token_id", "pad_token_id"}
)


class WholeSequences(nn.Module):
    """What adapters and training ask of a model: see `gpt2sdk.NetworkLM`.

    Attributes:
        network: The network itself, whose modules have transformers' names.
        table_name: The name of the table of tokens in it.
        head_name: The name of what makes logits in it.
        tied: Whether that multiplies with the table.
        read_past: The names of modules whose matrices it reads past them.
    """

    def __init__(self, network: "PreTrainedModel") -> None:
        super().__init__()
        self.network = network
        self.table_name = name_of(network, network.get_input_embeddings())
        self.head_name = name_of(network, network.get_output_embeddings())
        self.tied = isinstance(network.get_output_embeddings(), SharedHead)
        self.read_past = read_past(network)

    @contextmanager
    def as_in_transformers(self) -> Iterator[None]:
        """Let the network attend by itself meanwhile, for whole sequences; not while it scores."""
        # A cap of scores and sinks are known to this one alone.
        before = self.network.config._attn_implementation  # noqa: SLF001 - transformers tells no other way
        self.network.set_attn_implementation("eager")
        try:
            yield
        finally:
            self.network.set_attn_implementation(before)

    def logits(self, tokens: Int[Tensor, "rows time"]) -> Float[Tensor, "rows time vocab"]:
        """Return the logits behind each token of whole sequences, with gradients if wanted."""
        with self.as_in_transformers():
            found: Tensor = self.network(input_ids=tokens, use_cache=False, return_dict=True).logits
        return found

    @property
    def sizes(self) -> Mapping[str, object]:
        """What the network computes, as JSON has it."""
        values = self.network.config.to_dict()
        return {name: value for name, value in sorted(values.items()) if name not in _NO_SIZES}

    @property
    def gradient_checkpointing(self) -> bool:
        """Whether training computes activations twice instead of keeping them."""
        return bool(self.network.is_activation_checkpointing)

    @gradient_checkpointing.setter
    def gradient_checkpointing(self, wanted: bool) -> None:
        if wanted:
            self.network.activation_checkpointing_enable({"use_reentrant": False})
        elif self.gradient_checkpointing:
            self.network.activation_checkpointing_disable()
