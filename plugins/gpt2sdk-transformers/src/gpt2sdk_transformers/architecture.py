"""Decoder-only models of transformers as an architecture of gpt2sdk."""

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar, Self, cast

import torch
from pydantic import PrivateAttr
from typing_extensions import override

from gpt2sdk import (
    Architecture,
    CausalLM,
    Checkpoint,
    CheckpointError,
    ConfigFiles,
    Matrix,
    PackedError,
    Runner,
)
from gpt2sdk.gpt2 import Linear, may_pack
from gpt2sdk_transformers.offered import is_theirs, why_not

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

    from gpt2sdk import Language, TensorSource
    from gpt2sdk_transformers.model import TransformersLM

_NETWORK = "network."


def _number(value: dict[str, object]) -> object:
    """Return an infinity that transformers wrote as an object, as JSON has none.

    >>> _number({"__float__": "Infinity"}), _number({"a": 1})
    (inf, {'a': 1})
    """
    return float(str(value["__float__"])) if value.keys() == {"__float__"} else value


class TransformersArchitecture(Architecture):
    """A model that transformers has the network of: Llama, Qwen, Gemma, Phi and so on.

    The network is transformers' own, and computes as there. Rows lie behind one another in one
    sequence without padding, each with its own positions, and attention reads their keys and values
    from a ragged cache that forks and rewinds row by row. Nothing that comes with a checkpoint is
    run.

    Attributes:
        config: Its `config.json`, as text.

    Example:
        >>> from pathlib import Path
        >>> files = ConfigFiles({"model_type": "gpt2"}, Path("config.json"))
        >>> TransformersArchitecture.claim(files) is None
        True
    """

    name = "transformers"
    model_types: ClassVar[tuple[str, ...]] = ()
    config: str

    _notes: tuple[str, ...] = PrivateAttr(default=())
    _types: dict[torch.dtype, Mapping[str, torch.dtype]] = PrivateAttr(default_factory=dict)

    @classmethod
    @override
    def claims(cls) -> str:
        here = find_spec("transformers") is not None
        advice = "" if here else ", which is not installed: pip install transformers"
        return f"the decoder-only models of transformers by their model_type{advice}"

    @classmethod
    @override
    def claim(cls, files: ConfigFiles) -> Self | None:
        """Return the architecture of a config whose `model_type` transformers knows.

        Raises:
            CheckpointError: If such models are not offered; the message says why.
        """
        if not is_theirs(files):
            return None
        made = cls(config=json.dumps(dict(files.values), sort_keys=True))
        reason = why_not(made.configuration(), made._kind())
        if reason:
            raise CheckpointError(
                f"{files.path}: model_type={files.values['model_type']!r} has {reason}; the guide "
                '"Bring your own model" lists what is offered',
                path=files.path,
            )
        if files.values.get("auto_map"):
            made._notes = (
                (
                    "the config names code that comes with the checkpoint (auto_map): it is never "
                    "run, and transformers' own network is used"
                ),
            )
        return made

    def configuration(self) -> "PretrainedConfig":
        """Return the config as transformers reads it.

        Raises:
            CheckpointError: If it cannot be read.
        """
        from transformers import AutoConfig

        values = json.loads(self.config, object_hook=_number)
        kind = values.pop("model_type")
        try:
            return AutoConfig.for_model(kind, **values)
        except Exception as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise CheckpointError(f"config.json of a {kind}: {reason}") from error

    @override
    def make_model(self, dtype: torch.dtype) -> "TransformersLM":
        from gpt2sdk_transformers.model import TransformersLM
        from gpt2sdk_transformers.network import context_length, make_network

        config = self.configuration()
        return TransformersLM(make_network(config, dtype), context_length=context_length(config))

    @override
    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        """Every parameter, and the buffers that a checkpoint holds."""
        from gpt2sdk_transformers.network import lasting_buffers

        tensors = (*self._model.named_parameters(), *lasting_buffers(self._model))
        return {name: tuple(each.shape) for name, each in tensors}

    @override
    def parameter_dtype(self, name: str, dtype: torch.dtype) -> torch.dtype:
        return self._types_beside(dtype).get(name.removeprefix(_NETWORK), dtype)

    def _types_beside(self, dtype: torch.dtype) -> Mapping[str, torch.dtype]:
        from gpt2sdk_transformers.network import make_network
        from gpt2sdk_transformers.own_types import own_types

        if dtype not in self._types:
            with torch.device("meta"):
                network = make_network(self.configuration(), dtype)
            self._types[dtype] = own_types(network, dtype)
        return self._types[dtype]

    @override
    def matrices(self, dtype: torch.dtype) -> Iterator[Matrix]:
        head = self._network.get_output_embeddings()
        # What 16 bits are too coarse for is not quantized either.
        kept = {f"{_NETWORK}{each}" for each in self._types_beside(torch.bfloat16)}
        for name, module in self._model.named_modules():
            if type(module) is Linear and f"{name}.weight" not in kept:
                size = (module.out_features, module.in_features)
                yield Matrix(f"{name}.weight", size, dtype, "head" if module is head else "linear")

    @override
    def packs(self, matrix: Matrix, dtype: torch.dtype, device: torch.device) -> bool:
        return may_pack(matrix.shape[0] * matrix.shape[1], dtype, device)

    @override
    def cache_nbytes(self, part: str, dtype: torch.dtype, device: torch.device) -> int:
        from gpt2sdk_transformers.network import token_numbers

        layer = cast("TransformersLM", self._model).layer_of(part)
        if layer is None:
            return 0
        held = torch.promote_types(dtype, torch.float32) if device.type == "cpu" else dtype
        return token_numbers(self.configuration(), layer) * held.itemsize

    @override
    def row_nbytes(self, part: str, dtype: torch.dtype, device: torch.device) -> int:
        """Bytes of a part's states: of the one that a row has, and of those it can go back to."""
        from gpt2sdk_transformers.mixers import state_nbytes
        from gpt2sdk_transformers.recurrent_cache import PAGES

        model = cast("TransformersLM", self._model)
        if not model.mixers or not model.is_block(part):
            return 0
        return PAGES * state_nbytes(model.get_submodule(part), model.width, dtype)

    @override
    def weight_dtype(self) -> torch.dtype | None:
        dtype = self.configuration().get_text_config().dtype
        return dtype if isinstance(dtype, torch.dtype) else None

    @override
    def fit(
        self,
        source: "TensorSource",
        quantized: Mapping[str, Mapping[str, object]] | None = None,
    ) -> Checkpoint[Self]:
        """Find each parameter, as transformers converts checkpoints of its kind.

        Raises:
            CheckpointError: If the tensors don't fit.
        """
        from gpt2sdk_transformers.conversion import ConvertedSource
        from gpt2sdk_transformers.fitting import check_read_past, without_repeated

        check_read_past(source, self._network)
        converted, notes = without_repeated(ConvertedSource(source, self._network), self._network)
        found = super().fit(converted, quantized)  # type: ignore[arg-type]
        return Checkpoint(self, found.source, found.layout, (*self._notes, *notes))

    @override
    def file_key(self, name: str) -> str:
        return name.removeprefix(_NETWORK)

    @override
    def config_files(
        self, dtype: str, tokenizer: "Language | None"
    ) -> Mapping[str, Mapping[str, object]]:
        files = dict(super().config_files(dtype, tokenizer))
        files["config.json"] = {**json.loads(self.config), "dtype": dtype}
        return files

    @override
    def facts(self) -> Mapping[str, str]:
        from gpt2sdk_transformers.network import attending_layers, layer_config

        config = self.configuration().get_text_config()
        layers_with_heads = attending_layers(config)
        attending = len(layers_with_heads)
        first = layer_config(config, layers_with_heads[0]) if attending else config
        heads, shared = (
            getattr(first, f"num_{name}_heads", None) for name in ("attention", "key_value")
        )
        keys = f", {shared} of keys and values" if shared not in (None, heads) else ""
        window = getattr(config, "sliding_window", None)
        layers = f"{config.num_hidden_layers}"
        if attending == config.num_hidden_layers:
            layers += f", each with {heads} heads{keys}"
        elif attending:
            layers += f", {attending} of them with {heads} heads{keys}"
        facts = {
            "network": f"{type(self._network).__name__} of transformers",
            "layers": layers,
            "width": f"{config.hidden_size:,}",
        }
        if mixers := cast("TransformersLM", self._model).mixers:
            facts["recurrent layers"] = f"{mixers}, each with a state of every row"
        return facts | ({"sliding window": f"{window:,} tokens"} if window else {})

    @override
    def prepare(self, model: CausalLM, runners: Sequence[Runner]) -> Runner | None:
        from gpt2sdk_transformers.check import check_scores
        from gpt2sdk_transformers.model import TransformersLM

        if isinstance(model, TransformersLM):
            model.settle()
            model.pack()
            try:
                check_scores(model)
            except PackedError:
                # Some part of it reads a matrix past its module.
                model.unpack()
                check_scores(model)
        return None

    @property
    def _network(self) -> "PreTrainedModel":
        return cast("TransformersLM", self._model).network

    def _kind(self) -> "type[PreTrainedModel] | None":
        from transformers import AutoModelForCausalLM

        kinds = AutoModelForCausalLM._model_mapping  # noqa: SLF001 - transformers tells no other way
        config = type(self.configuration())
        return cast("type[PreTrainedModel]", kinds[config]) if config in kinds else None
