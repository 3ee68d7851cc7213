"""Kinds of models: what a config stands for, and how the parts and parameters are named."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import ClassVar, Self

import torch
from torch import nn
from typing_extensions import override

from gpt2sdk.components.causal_lm import CausalLM
from gpt2sdk.components.checkpoint import (
    Checkpoint,
    QuantizedInfos,
    Shape,
    StoredParameter,
    lay_out,
    stored_name,
)
from gpt2sdk.components.component import Component
from gpt2sdk.components.end_names import EndNames, NamedEnds
from gpt2sdk.components.language import Language
from gpt2sdk.components.quantizer import Matrix
from gpt2sdk.components.runner import Runner
from gpt2sdk.components.shape_table import ShapeRow, describe_shapes
from gpt2sdk.components.tensor_source import TensorSource
from gpt2sdk.components.weights import FormatWords, TranslatedFile
from gpt2sdk.config_files import CONFIG_FILE, GENERATION_CONFIG_FILE, ConfigFiles
from gpt2sdk.errors import CheckpointError, OptionError, PluginContractError, listing


class Architecture(Component):
    """A kind of model. Its fields are its sizes: what a `config.json` says under the same names.

    `make_model` is all that has to be written. What loading, planning, quantizing and saving ask
    besides is answered here for a `torch.nn.Module` that keeps its weights in floating point
    parameters, none of them shared: names in the checkpoint are those of the parameters, each
    child of the module is a part, as is each block of a `ModuleList`, and quantizers get the
    matrices of `nn.Linear`.

    Attributes:
        model_types: The values of `model_type` that it claims; the first is written when a model
            is saved.
        placeable: Whether parts may be on several devices, or come and go. They are led there as
            they are called, unless the model is a `PlacedModel`, which goes there by itself.

    Example:
        >>> class Counts(Architecture):
        ...     model_types = ("counts",)
        ...     vocab_size: int
        ...
        ...     def make_model(self, dtype):
        ...         return torch.nn.Linear(self.vocab_size, self.vocab_size, bias=False)
        >>> files = ConfigFiles({"model_type": "counts", "vocab_size": 3}, Path("config.json"))
        >>> counts = Counts.claim(files)
        >>> counts.vocab_size, dict(counts.parameters())
        (3, {'weight': (3, 3)})
        >>> Counts.claim(ConfigFiles({"model_type": "gpt2"}, Path("config.json"))) is None
        True
    """

    model_types: ClassVar[tuple[str, ...]] = ()
    placeable: ClassVar[bool] = True

    @classmethod
    @override
    def option_names(cls) -> tuple[str, ...]:
        """None: a config says what the fields are, and no call can."""
        return ()

    @classmethod
    def claims(cls) -> str:
        """Say which configs are its own: its model types."""
        return f"model_type {' or '.join(map(repr, cls.model_types))}"

    @classmethod
    def claim(cls, files: ConfigFiles) -> Self | None:
        """Return the architecture that a config describes, or `None` for someone else's.

        By default `model_type` tells, and keys that are no fields say nothing.

        Raises:
            CheckpointError: If it is this one's, but a value is missing or out of range.
        """
        if files.values.get("model_type") not in cls.model_types:
            return None
        fields = {key: value for key, value in files.values.items() if key in cls.model_fields}
        try:
            return cls(**fields)
        except OptionError as error:
            raise CheckpointError(f"{files.path}: {error}", path=files.path) from error

    @classmethod
    def translate(cls, words: FormatWords) -> TranslatedFile | None:  # noqa: ARG003 - as `of`
        """Say what a file of another format calls one's own; `None` for what is not.

        By default no format is known: then such files of one's models are refused by name.

        Raises:
            CheckpointError: If it is this one's, but lacks something.
        """
        return None

    @classmethod
    def of(cls, model: CausalLM) -> Self | None:  # noqa: ARG003 - for those who look at it
        """Return the architecture of a model as it is now; `None` if it cannot tell.

        A model that nobody knows so is saved by what loaded it, so most need not know their own.
        """
        return None

    @abstractmethod
    def make_model(self, dtype: torch.dtype) -> nn.Module:
        """Make the model, a `CausalLM`; it is called under `torch.device("meta")`, without weights.

        Args:
            dtype: The type in which it will compute, for those who note it.
        """

    def vocabulary_size(self) -> int:
        """How many logits a position has."""
        return self._language_model.vocab_size

    def window(self) -> int:
        """How many tokens the model can be fed."""
        return self._language_model.context_length

    def parameters(self) -> Mapping[str, Shape]:
        """Every parameter's name and shape, matrices `[out, in]`; what is tied is there once."""
        return {name: tuple(each.shape) for name, each in self._model.named_parameters()}

    def parameter_dtype(self, name: str, dtype: torch.dtype) -> torch.dtype:
        """The type in which a parameter is held if not quantized; by default as was asked for."""
        del name
        return dtype

    def parts(self) -> Mapping[str, list[str]]:
        """The names of each part's parameters, parts in the order in which they compute.

        A part is a module that is placed as a whole: each child, and where there is a `ModuleList`
        in a child, at any depth, each block of that and each module beside it.
        """
        parts: dict[str, list[str]] = {}
        for name in self.parameters():
            parts.setdefault(_part_of(name, self._model), []).append(name)
        return parts

    def why_on_one_device(self) -> str:
        """Say why no placement can be followed; empty where one can."""
        if not self.placeable:
            return "whose models run on one device"
        parts = self.parts()
        for part, names in parts.items():
            if not part or any(other.startswith(f"{part}.") for other in parts):
                return f"whose models have parameters beside their modules ({listing(names)})"
        return ""

    def matrices(self, dtype: torch.dtype) -> Iterator[Matrix]:
        """Yield what a quantizer may be asked about.

        Args:
            dtype: The type of the weights.
        """
        for name, module in self._model.named_modules():
            if type(module) is nn.Linear and name:
                size = (module.out_features, module.in_features)
                yield Matrix(f"{name}.weight", size, dtype, "linear")

    def packs(self, matrix: Matrix, dtype: torch.dtype, device: torch.device) -> bool:
        """Whether `prepare` makes a packed copy of a plain matrix that computes on a device."""
        return False

    def cache_nbytes(self, part: str, dtype: torch.dtype, device: torch.device) -> int:
        """Bytes that a part's cache takes for each token of each row; none by default."""
        return 0

    def row_nbytes(self, part: str, dtype: torch.dtype, device: torch.device) -> int:
        """Bytes that a part keeps of each row, however long it is; none by default."""
        return 0

    def weight_dtype(self) -> torch.dtype | None:
        """The weights' type, where the config names it; `None` for that of the file."""
        return None

    def fit(
        self, source: TensorSource, quantized: QuantizedInfos | None = None
    ) -> Checkpoint[Self]:
        """Find each parameter in a checkpoint; nothing is read but names, shapes and types.

        Args:
            source: The tensors.
            quantized: What is to be found in place of quantized parameters.

        Raises:
            CheckpointError: If the tensors don't fit.
        """
        quantized = quantized or {}
        shapes = {name: each for name, each in self.parameters().items() if name not in quantized}
        packed = [stored_name(name, suffix) for name in quantized for suffix in quantized[name]]
        own = {self.file_key(name): name for name in (*shapes, *packed)}
        keys = {own.get(key, key): key for key in source.infos}
        entries = {
            name: (StoredParameter(keys.get(name, name), self.transposed(name)), shape)
            for name, shape in shapes.items()
        }
        return Checkpoint(self, source, lay_out(source, keys, entries, quantized))

    def file_key(self, name: str) -> str:
        """The name in a checkpoint of a parameter, or of a tensor that stands for one."""
        return name

    def transposed(self, name: str) -> bool:
        """Whether a checkpoint has a parameter `[in, out]`."""
        return False

    def tokenizer(self, folder: Path) -> Language | None:
        """Read the model's tokenizer; `None` where its files are in Hugging Face's layout.

        One that decodes token by token, as `TextDecoder` says, is its own decoder.

        Raises:
            TokenizerError: If there is none, or it cannot be read.
        """
        return None

    def config_files(
        self, dtype: str, tokenizer: Language | None
    ) -> Mapping[str, Mapping[str, object]]:
        """What the config files of a saved model hold, by their names.

        Args:
            dtype: The weights' type.
            tokenizer: The model's; `None` if it is not saved.
        """
        values = {"model_type": next(iter(self.model_types), None), "dtype": dtype}
        files = {CONFIG_FILE: values | self.model_dump(mode="json")}
        if tokenizer is not None and tokenizer.eos_token_id is not None:
            files[GENERATION_CONFIG_FILE] = {"eos_token_id": tokenizer.eos_token_id}
        return files

    def facts(self) -> Mapping[str, str]:
        """What a reader should know of a model, by what it is called; its fields by default."""
        return {key: str(value) for key, value in self.model_dump(mode="json").items()}

    def pass_through(self, model: nn.Module, time: int) -> None:
        """Let a sequence of so many tokens pass through a model, for those who watch its modules.

        By default it is scored, as a session would.
        """
        scorer = as_causal_lm(model, self)
        scorer.score(scorer.make_cache(1), [[0] * time], [time])

    def shapes(self, time: int = 8) -> list[ShapeRow]:
        """Follow a short sequence through a model without numbers; nothing is computed.

        Args:
            time: Tokens of the sequence; the window's, if these are less.

        Raises:
            OptionError: If the model needs numbers to be followed.
        """
        model = self.empty_model(self.weight_dtype() or torch.float32)
        follow = partial(self.pass_through, model, min(time, self.window()))
        try:
            # What it makes on its way has no numbers either.
            with torch.device("meta"):
                return describe_shapes(model, follow)
        except (RuntimeError, NotImplementedError, ValueError) as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise OptionError(
                f"the shapes in a {self.name} cannot be followed without numbers: {reason}",
                name="shapes",
            ) from error

    def end_names(self) -> EndNames | None:
        """What the config says of the tokens that end a text; `None` for nothing.

        By default it is the field `eos_token_id`, where there is one.

        Raises:
            CheckpointError: If that is no token id.
        """
        if "eos_token_id" not in type(self).model_fields:
            return None
        values = self.model_dump(mode="json")
        return NamedEnds.of(ConfigFiles(values, Path(self.name)), self.vocabulary_size())

    def prepare(self, model: CausalLM, runners: Sequence[Runner]) -> Runner | None:
        """Make a loaded model fast, before it is first used; nothing by default.

        Args:
            model: The model.
            runners: What may compute its scores, to be asked in turn; installed for any model.

        Returns:
            Which of them does; `None` where the model computes by itself.
        """
        return None

    def empty_model(self, dtype: torch.dtype) -> nn.Module:
        """Make the model without weights, frozen and in evaluation mode.

        Raises:
            PluginContractError: If what was made is no language model.
        """
        with torch.device("meta"):
            model = self.make_model(dtype)
        return model.requires_grad_(requires_grad=False).eval()

    @cached_property
    def _model(self) -> nn.Module:
        return self.empty_model(self.weight_dtype() or torch.float32)

    @property
    def _language_model(self) -> CausalLM:
        return as_causal_lm(self._model, self)


def _part_of(name: str, model: nn.Module) -> str:
    """Return the part that a parameter belongs to."""
    module, path = model, ""
    for word in name.split(".")[:-1]:
        block = isinstance(module, nn.ModuleList)
        if path and not block and not any(isinstance(m, nn.ModuleList) for m in module.modules()):
            break
        path, module = f"{path}.{word}".removeprefix("."), module.get_submodule(word)
        if block:
            break
    return path


def as_causal_lm(model: nn.Module, architecture: Architecture) -> CausalLM:
    """Check what an architecture made.

    Raises:
        PluginContractError: If it is no language model.
    """
    if isinstance(model, CausalLM):
        return model
    raise PluginContractError(
        f"the architecture {architecture.name} made a {type(model).__name__}: expected a CausalLM, "
        "with vocab_size, context_length, layers, device, make_cache and score",
        plugin=architecture.name,
    )
