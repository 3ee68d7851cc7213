"""GPT-2 as an architecture: the first of those that loading asks."""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Self, final

import torch
from pydantic import PrivateAttr
from torch import nn
from typing_extensions import override

from gpt2sdk.components.architecture import Architecture, as_causal_lm
from gpt2sdk.components.causal_lm import CausalLM
from gpt2sdk.components.checkpoint import Checkpoint, QuantizedInfos, Shape
from gpt2sdk.components.language import Language
from gpt2sdk.components.placement import is_block
from gpt2sdk.components.quantizer import Matrix
from gpt2sdk.components.runner import Runner
from gpt2sdk.components.tensor_source import TensorSource
from gpt2sdk.components.weights import FormatWords, TranslatedFile
from gpt2sdk.config import GPT2Config
from gpt2sdk.config_files import CONFIG_FILE, GENERATION_CONFIG_FILE, ConfigFiles
from gpt2sdk.gpt2.cache import cache_dtype, token_nbytes
from gpt2sdk.gpt2.fitting import fit_weights
from gpt2sdk.gpt2.gguf_words import FORMAT, MODEL_TYPE, translated
from gpt2sdk.gpt2.keys import HEAD
from gpt2sdk.gpt2.layout import MATRICES, parameter_shapes
from gpt2sdk.gpt2.matrices import model_matrices, parameters_by_part, part_of
from gpt2sdk.gpt2.model import GPT2
from gpt2sdk.gpt2.nanogpt import NANOGPT_NOTE, nanogpt_config
from gpt2sdk.gpt2.packed import may_pack
from gpt2sdk.gpt2.saved_config import generation_config, with_ends
from gpt2sdk.network_keys import MODEL_TYPES, is_gpt2
from gpt2sdk.tokenizer.end_tokens import find_end_tokens
from gpt2sdk.tokenizer.tokenizer import Tokenizer


@final
class GPT2Architecture(Architecture):
    """GPT-2 and what is the same network under another name.

    >>> gpt2 = GPT2Architecture(config=GPT2Config(n_layer=2))
    >>> list(gpt2.parts()), gpt2.window()
    (['wte', 'wpe', 'h.0', 'h.1', 'ln_f'], 1024)
    """

    name: ClassVar[str] = "gpt2"
    model_types: ClassVar[tuple[str, ...]] = MODEL_TYPES
    config: GPT2Config
    # What a reader of the checkpoint should know of where the sizes are from.
    _notes: tuple[str, ...] = PrivateAttr(default=())

    @classmethod
    @override
    def claims(cls) -> str:
        return f"{super().claims()}, or none beside n_embd or n_layer, as nanoGPT's files do"

    @classmethod
    @override
    def claim(cls, files: ConfigFiles) -> Self | None:
        said = files.values if files.model_args is None else files.model_args
        return cls.of_files(files) if is_gpt2(said) else None

    @classmethod
    def of_files(cls, files: ConfigFiles) -> Self:
        """Read a GPT-2's sizes, from its config or from what nanoGPT wrote beside the weights.

        Raises:
            CheckpointError: If they are another model's, or a size is absent or out of range.
        """
        if files.model_args is None:
            return cls(config=GPT2Config.from_files(files))
        made = cls(config=nanogpt_config(files.model_args, files.path))
        made._notes = (NANOGPT_NOTE,)
        return made

    @classmethod
    @override
    def translate(cls, words: FormatWords) -> TranslatedFile | None:
        known = (words.format, words.model_type) == (FORMAT, MODEL_TYPE)
        return translated(words) if known else None

    @classmethod
    @override
    def of(cls, model: CausalLM) -> Self | None:
        return cls(config=model.config) if isinstance(model, GPT2) else None

    @override
    def make_model(self, dtype: torch.dtype) -> GPT2:
        name = str(dtype).removeprefix("torch.")
        return GPT2(self.config.model_copy(update={"dtype": name}))

    @override
    def empty_model(self, dtype: torch.dtype) -> GPT2:
        with torch.device("meta"):
            model = self.make_model(dtype)
        return model.requires_grad_(requires_grad=False).eval()

    @override
    def vocabulary_size(self) -> int:
        return self.config.vocab_size

    @override
    def window(self) -> int:
        return self.config.n_positions

    @override
    def parameters(self) -> Mapping[str, Shape]:
        return parameter_shapes(self.config)

    @override
    def parts(self) -> Mapping[str, list[str]]:
        return parameters_by_part(self.config)

    @override
    def matrices(self, dtype: torch.dtype) -> Iterator[Matrix]:
        return model_matrices(self.config, dtype)

    @override
    def packs(self, matrix: Matrix, dtype: torch.dtype, device: torch.device) -> bool:
        return may_pack(matrix.shape[0] * matrix.shape[1], dtype, device)

    @override
    def cache_nbytes(self, part: str, dtype: torch.dtype, device: torch.device) -> int:
        if not is_block(part):
            return 0
        return token_nbytes(self.config, cache_dtype(dtype, device))

    @override
    def weight_dtype(self) -> torch.dtype | None:
        return getattr(torch, self.config.dtype) if self.config.dtype else None

    @override
    def fit(
        self, source: TensorSource, quantized: QuantizedInfos | None = None
    ) -> Checkpoint[Self]:
        fit = fit_weights(source, self.config, quantized)
        notes = (*self._notes, *fit.notes)
        return Checkpoint(type(self)(config=fit.config), fit.source, fit.layout, notes)

    @override
    def file_key(self, name: str) -> str:
        """The name in the Hugging Face layout.

        >>> gpt2 = GPT2Architecture(config=GPT2Config())
        >>> gpt2.file_key("wte.weight.scale"), gpt2.file_key("lm_head.weight.scale")
        ('transformer.wte.weight.scale', 'lm_head.weight.scale')
        """
        return name if part_of(name) == part_of(HEAD) else f"transformer.{name}"

    @override
    def transposed(self, name: str) -> bool:
        return name.endswith(MATRICES)

    @override
    def config_files(
        self, dtype: str, tokenizer: Language | None
    ) -> Mapping[str, Mapping[str, object]]:
        """All tokens that end a text are named in the generation config."""
        config = self.config.model_copy(update={"dtype": dtype})
        ends = find_end_tokens(config, tokenizer)
        if isinstance(tokenizer, Tokenizer):
            config = with_ends(config, tokenizer, ends)
        return {
            CONFIG_FILE: config.to_dict(),
            GENERATION_CONFIG_FILE: generation_config(config, ends),
        }

    @override
    def facts(self) -> Mapping[str, str]:
        config = self.config
        tied = config.tie_word_embeddings
        return {
            "layers": f"{config.n_layer}, each with {config.n_head} heads of {config.head_size}",
            "width": f"{config.n_embd:,}, inside a layer {config.inner_size:,}",
            "activation": config.activation_function,
            "output head": "the token embedding" if tied else "a matrix of its own",
        }

    @override
    def pass_through(self, model: nn.Module, time: int) -> None:
        device = as_causal_lm(model, self).device
        model(torch.zeros(1, time, dtype=torch.int64, device=device))

    @override
    def end_names(self) -> GPT2Config:
        return self.config

    @override
    def prepare(self, model: CausalLM, runners: Sequence[Runner]) -> Runner | None:
        if not isinstance(model, GPT2):
            return None
        model.prepare(runners)
        return model.runner
