"""The numbers that make one GPT-2 model, read from a `config.json` of any age and written back.

Field names and defaults are those of Hugging Face's `GPT2Config`. Keys that have no field here are
kept in `extra` and written back, so nothing of a file is lost by loading and saving it.
"""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from typing_extensions import override

from gpt2sdk.config_files import GENERATION_CONFIG_FILE, ConfigFiles
from gpt2sdk.errors import CheckpointError, OptionError
from gpt2sdk.network_keys import other_networks
from gpt2sdk.token_ids import several, token_ids, without_negative_ids

# Other names under which transformers reads and writes the same fields; `n_ctx` was dropped in
# 2021, `torch_dtype` became `dtype` in 2025.
_OTHER_NAMES = {
    "hidden_size": "n_embd",
    "max_position_embeddings": "n_positions",
    "num_attention_heads": "n_head",
    "num_hidden_layers": "n_layer",
    "n_ctx": "n_positions",
    "torch_dtype": "dtype",
}
# These two may contradict the field beside them: old code kept `n_ctx` as the size of a mask, and
# a file may carry the dtype under both names.
_YIELDING = frozenset({"n_ctx", "torch_dtype"})
_ALWAYS_WRITTEN = frozenset({"model_type", "architectures"})
_TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")
# Fields that keep what belongs to no other field.
_KEPT = frozenset({"extra", "generation"})


def _dtype_name(value: object) -> object:
    return value.removeprefix("torch.") if isinstance(value, str) else value


Positive = Annotated[int, Field(ge=1)]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]
TokenId = Annotated[int, Field(ge=0)]
TokenIds = Annotated[int | tuple[int, ...] | None, BeforeValidator(token_ids)]
# The keys of `gpt2.activations`, which needs torch; the tests compare both.
Activation = Literal[
    "gelu",
    "gelu_10",
    "gelu_accurate",
    "gelu_fast",
    "gelu_new",
    "gelu_python",
    "gelu_python_tanh",
    "gelu_pytorch_tanh",
    "hardswish",
    "laplace",
    "leaky_relu",
    "linear",
    "mish",
    "quick_gelu",
    "relu",
    "relu2",
    "relu6",
    "sigmoid",
    "silu",
    "sqrtsoftplus",
    "swish",
    "tanh",
]
DtypeName = Literal["float64", "float32", "float16", "bfloat16"]


class GPT2Config(BaseModel):
    """Sizes, switches and token ids of a GPT-2 model: an immutable value.

    Raises:
        OptionError: When built with an unknown field or a value out of range.

    Example:
        >>> config = GPT2Config(n_embd=96, n_head=4)
        >>> config.head_size, config.inner_size
        (24, 384)
        >>> GPT2Config(n_embd=100, n_head=12)
        Traceback (most recent call last):
            ...
        gpt2sdk.errors.OptionError: n_head=12: expected a divisor of n_embd=100
    """

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    vocab_size: Positive = 50257
    """Tokens in the vocabulary: rows of the embedding, and logits of a position."""
    n_positions: Positive = 1024
    """Context window, in tokens: rows of the learned position embedding."""
    n_embd: Positive = 768
    """Width of the residual stream; a multiple of `n_head`."""
    n_layer: Positive = 12
    """Blocks."""
    n_head: Positive = 12
    """Attention heads of a block."""
    n_inner: Positive | None = None
    """Width of the feed-forward layer; `None` means `4 * n_embd`."""
    activation_function: Activation = "gelu_new"
    """Non-linearity of the feed-forward layer."""
    resid_pdrop: Probability = 0.1
    """Dropout on each block's two outputs; used in training only."""
    embd_pdrop: Probability = 0.1
    """Dropout on the embeddings; used in training only."""
    attn_pdrop: Probability = 0.1
    """Dropout on the attention weights; used in training only."""
    layer_norm_epsilon: Annotated[float, Field(gt=0.0)] = 1e-5
    """Added to the variance in every layer norm."""
    initializer_range: Annotated[float, Field(ge=0.0)] = 0.02
    """Standard deviation of freshly made weights."""
    scale_attn_weights: bool = True
    """Divide attention scores by the square root of the head size."""
    scale_attn_by_inverse_layer_idx: bool = False
    """Divide the attention scores of block `i` (from 0) by `i + 1` besides."""
    reorder_and_upcast_attn: bool = False
    """Compute attention scores and their softmax in float32."""
    tie_word_embeddings: bool = True
    """The output head is the token embedding."""
    use_cache: bool = True
    """Kept for the file's sake: whether other programs keep keys and values by default."""
    bos_token_id: TokenId | None = 50256
    """The token that begins a text; `None` for none."""
    eos_token_id: TokenIds = 50256
    """The token or tokens that end a text; one outside the vocabulary is never generated."""
    pad_token_id: TokenId | None = None
    """The token that other programs pad with; never needed here."""
    dtype: Annotated[DtypeName | None, BeforeValidator(_dtype_name)] = None
    """The weights' type in the checkpoint; `None` where the file does not say."""
    extra: dict[str, JsonValue] = Field(default_factory=dict)
    """Keys of the file that have no field here, written back unchanged. Not to be modified."""
    generation: dict[str, JsonValue] = Field(default_factory=dict)
    """What the `generation_config.json` beside it holds, likewise. Only its end tokens count."""

    if not TYPE_CHECKING:
        # Type checkers see the fields as keyword parameters; at run time nothing of pydantic's
        # errors reaches the caller.
        def __init__(self, **fields: object) -> None:
            try:
                super().__init__(**fields)
            except ValidationError as error:
                message, name, value, expected = _first_problem(error)
                raise OptionError(message, name=name, value=value, expected=expected) from None

        # Without this mark pydantic would call `__init__` while validating, and wrap its error.
        __init__.__pydantic_base_init__ = True

    @override
    def __hash__(self) -> int:
        fields = (name for name in type(self).model_fields if name not in _KEPT)
        return hash(tuple(getattr(self, name) for name in fields))

    @field_validator("n_head")
    @classmethod
    def _heads_divide_the_width(cls, n_head: int, info: ValidationInfo) -> int:
        width = info.data.get("n_embd")
        if width is not None and width % n_head:
            raise ValueError(f"a divisor of n_embd={width}")
        return n_head

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.n_embd // self.n_head

    @property
    def inner_size(self) -> int:
        """Width of the feed-forward layer."""
        return 4 * self.n_embd if self.n_inner is None else self.n_inner

    @property
    def written_end_tokens(self) -> tuple[int, ...]:
        """The end tokens that were given or stood in the file; the default counts for nothing."""
        return several(self.eos_token_id) if "eos_token_id" in self.model_fields_set else ()

    @property
    def generation_end_tokens(self) -> tuple[int, ...]:
        """The end tokens of `generation_config.json`."""
        return several(token_ids(without_negative_ids(self.generation.get("eos_token_id"))))

    @classmethod
    def from_dict(cls, values: Mapping[str, object], *, path: str | Path = "") -> Self:
        """Read what a `config.json` holds.

        Args:
            values: The file's keys and values, in the names of any transformers version.
            path: Where they come from, for messages.

        Raises:
            CheckpointError: If it is another architecture, needs a feature that is not offered, or
                a value is out of range; the message names field, value and what was expected. A
                negative token id is none.
        """
        _refuse_other_models(values, path)
        fields, extra = _sort_keys(values, set(cls.model_fields) - _KEPT, path)
        fields |= {key: without_negative_ids(fields[key]) for key in _TOKEN_IDS if key in fields}
        try:
            return cls.model_validate({**fields, "extra": extra})
        except ValidationError as error:
            raise _checkpoint_error(_first_problem(error)[0], path) from None

    @classmethod
    def from_files(cls, files: ConfigFiles) -> Self:
        """Read what a model's config files hold.

        Raises:
            CheckpointError: As for `from_dict`, or if the generation config names end tokens that
                are none.
        """
        config = cls.from_dict(files.values, path=files.path)
        if not files.generation:
            return config
        generation = dict(files.generation)
        _check_end_tokens(generation, files.path.parent / GENERATION_CONFIG_FILE)
        return config.model_copy(update={"generation": generation})

    @classmethod
    def from_folder(cls, folder: str | Path) -> Self:
        """Read `config.json` of a checkpoint folder, and the `generation_config.json` beside it.

        Raises:
            CheckpointError: If a file is absent, is not JSON, or its values do not fit.
        """
        return cls.from_files(ConfigFiles.from_folder(folder))

    def to_dict(self) -> dict[str, object]:
        """Return what belongs into a `config.json`, in Hugging Face's names.

        Token ids that nobody gave are left out: the defaults are those of GPT-2's vocabulary.
        """
        fields = self.model_dump(mode="json", exclude=set(_KEPT))
        if self.dtype is None:
            del fields["dtype"]
        for name in _TOKEN_IDS:
            if name not in self.model_fields_set:
                del fields[name]
        head = {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"}
        return {**head, **fields, **self.extra}


def _refuse_other_models(values: Mapping[str, object], path: str | Path) -> None:
    for problem in other_networks(values):
        raise _checkpoint_error(problem, path)


def _check_end_tokens(values: Mapping[str, object], path: Path) -> None:
    ids = values.get("eos_token_id")
    try:
        token_ids(without_negative_ids(ids))
    except ValueError as error:
        raise _checkpoint_error(f"eos_token_id={ids!r}: expected {error}", path) from None


def _sort_keys(
    values: Mapping[str, object], known: set[str], path: str | Path
) -> tuple[dict[str, object], dict[str, object]]:
    """Split a file's keys into fields and what is kept as it is."""
    fields = {key: value for key, value in values.items() if key in known}
    extra: dict[str, object] = {}
    for key, value in values.items():
        if key in known or key in _ALWAYS_WRITTEN:
            continue
        field = _OTHER_NAMES.get(key)
        if field is None:
            extra[key] = value
        elif fields.get(field) is None:
            fields[field] = value
        elif fields[field] != value and key not in _YIELDING:
            raise _checkpoint_error(
                f"{key}={value!r}: expected the same as {field}={fields[field]!r}", path
            )
    return fields, extra


def _first_problem(error: ValidationError) -> tuple[str, str, object, str]:
    """Put pydantic's first finding into one line: message, field, value, what was expected."""
    problem = error.errors(include_url=False)[0]
    name = str(problem["loc"][0])
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, GPT2Config.model_fields, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"{name}: no such field of GPT2Config{hint}", name, problem["input"], "a field"
    expected = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    value = problem["input"]
    return f"{name}={value!r}: expected {expected}", name, value, expected


def _checkpoint_error(problem: str, path: str | Path) -> CheckpointError:
    return CheckpointError(f"{path}: {problem}" if path else problem, path=path)
