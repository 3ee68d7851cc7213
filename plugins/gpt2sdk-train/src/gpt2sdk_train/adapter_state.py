"""What is kept with a model while it has adapters."""

from dataclasses import dataclass, field

from torch import nn

from gpt2sdk import GPT2Config
from gpt2sdk_train.adapter_files import AdapterFiles
from gpt2sdk_train.module_layout import AdaptableLM

# The model's attribute, so that whoever asks for its adapters sees the same.
_NAME = "_adapter_state"


@dataclass(slots=True)
class AdapterState:
    """What a model's adapters need to be taken back and written down.

    Attributes:
        unmerged: The modules as they were before merging, by name.
        config: The model's config before merging, if that changed it.
        read: The files of the adapters that were loaded, by the adapters' names.
    """

    unmerged: dict[str, nn.Module] = field(default_factory=dict)
    config: GPT2Config | None = None
    read: dict[str, AdapterFiles] = field(default_factory=dict)

    @classmethod
    def of(cls, model: AdaptableLM) -> "AdapterState":
        """Return a model's state, which is made when it is first asked for."""
        state = vars(model).setdefault(_NAME, cls())
        if not isinstance(state, cls):
            message = f"{_NAME} of the model is something else"
            raise TypeError(message)
        return state
