"""The config of an adapter as PEFT writes it: `adapter_config.json`."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gpt2sdk import CheckpointError, OptionError
from gpt2sdk_train.lora import LoRA

CONFIG = "adapter_config.json"
"""The file's name."""

# Read here, or of no matter for what an adapter computes.
_KNOWN = frozenset(
    {"r", "lora_alpha", "lora_dropout", "use_rslora", "use_dora", "rank_pattern", "alpha_pattern"}
    | {"target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"}
    | {"modules_to_save", "bias", "lora_bias", "trainable_token_indices"}
    | {"peft_type", "task_type", "auto_mapping", "peft_version", "inference_mode"}
    | {"base_model_name_or_path", "revision", "fan_in_fan_out"}
    # Where first values came from.
    | {"init_lora_weights", "eva_config"}
    # What is tied is in the tensors, or not: PEFT 0.21 knows no table called wte.
    | {"megatron_core", "qalora_group_size", "ensure_weight_tying"}
)
# Others change the base model as well.
_PLAIN_STARTS = (True, False, None, "gaussian", "orthogonal", "eva")
_BIASES = ("none", "all", "lora_only")
_LISTS = ("target_modules", "exclude_modules", "modules_to_save", "layers_pattern")
# What an option has that leaves it off: of PEFT's present ones, and of those to come.
_OFF: tuple[object, ...] = (None, False, {}, [], "", "none")
# PEFT's defaults.
_RANK, _ALPHA = 8, 8


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """What the config of a LoRA adapter says.

    Attributes:
        file: Where it was.
        values: All of it, as JSON has it.
    """

    file: Path
    values: Mapping[str, object]

    @classmethod
    def read(cls, file: Path) -> "AdapterConfig":
        """Read a config.

        Raises:
            CheckpointError: If it is none, is that of another method than LoRA, or asks for
                something that is not offered here and would change what is computed.
        """
        try:
            values = json.loads(file.read_text(encoding="utf-8-sig"))
        except OSError as error:
            raise CheckpointError(f"{file}: cannot be read: {error.strerror}", path=file) from error
        except ValueError as error:
            raise CheckpointError(f"{file}: expected JSON: {error}", path=file) from error
        method = values.get("peft_type") if isinstance(values, dict) else None
        if method != "LORA":
            found = f"found {json.dumps(method)}" if method else "it has none"
            raise CheckpointError(
                f'{file}: expected an adapter with "peft_type": "LORA", {found}', path=file
            )
        config = cls(file, values)
        config._check()
        return config

    def _check(self) -> None:
        for name, value in self.values.items():
            if name not in _KNOWN and not any(value == off for off in _OFF):
                raise self.error(f"{name}={value!r} is not offered: expected LoRA without it")
        start = self.values.get("init_lora_weights")
        if start not in _PLAIN_STARTS:
            raise self.error(
                f"init_lora_weights={start!r} is not offered, since it changes the model beside "
                "the adapter: convert the adapter with PEFT (path_initial_model_for_weight_"
                "conversion of save_pretrained), or merge it there"
            )
        if self.values.get("bias", "none") not in _BIASES:
            raise self.error(f"bias={self.values['bias']!r}: expected one of {', '.join(_BIASES)}")
        patterns = {
            **{name: self._patterns(name) for name in _LISTS},
            **{name: tuple(self._mapping(name)) for name in ("rank_pattern", "alpha_pattern")},
        }
        for name, several in patterns.items():
            for pattern in several:
                self._check_pattern(name, pattern)
        given = self.values.get("trainable_token_indices") or []
        lists = list(given.values()) if isinstance(given, dict) else [given]
        if not all(isinstance(each, list) and all(map(_is_index, each)) for each in lists):
            raise self.error(f"trainable_token_indices={given!r}: expected lists of token ids")

    def _check_pattern(self, name: str, pattern: str) -> None:
        try:
            re.compile(pattern)
        except re.error as error:
            message = f"{name}: {pattern!r} is no regular expression: {error}"
            raise self.error(message) from error

    def error(self, message: str) -> CheckpointError:
        """Return an error that names the file."""
        return CheckpointError(f"{self.file}: {message}", path=self.file)

    @property
    def dora(self) -> bool:
        """Whether lengths are learned apart."""
        return bool(self.values.get("use_dora"))

    @property
    def shifted(self) -> bool:
        """Whether what is added to a matrix has a bias."""
        return bool(self.values.get("lora_bias"))

    @property
    def biases(self) -> str:
        """Which of the model's biases are replaced: `none`, `all`, or `lora_only`."""
        return str(self.values.get("bias", "none"))

    @property
    def saved_modules(self) -> tuple[str, ...]:
        """The ends of the names of modules that are replaced as a whole."""
        return self._patterns("modules_to_save")

    def entries(self, name: str, table: str) -> list[int]:
        """Return the entries of a table that are replaced.

        Args:
            name: PEFT's name of the table.
            table: The name of the model's table of tokens, which is meant where none is named.
        """
        given = self.values.get("trainable_token_indices")
        if isinstance(given, list):
            given = {table: given}
        for ending, entries in given.items() if isinstance(given, dict) else ():
            if _ends(name, str(ending)):
                return list(entries)
        return []

    def is_target(self, name: str, *, linear: bool) -> bool:
        """Whether there is LoRA of a module, as PEFT decides it.

        Args:
            name: PEFT's name of the module.
            linear: Whether it is a linear layer other than the head.
        """
        return not self._excluded(name) and self._targeted(name, linear=linear)

    def _targeted(self, name: str, *, linear: bool) -> bool:
        targets = self.values.get("target_modules")
        if isinstance(targets, str) and targets.lower() == "all-linear":
            return linear
        if isinstance(targets, str):
            return re.fullmatch(targets, name) is not None
        # PEFT's own choice for GPT-2; other models' adapters always say it.
        patterns = ("c_attn",) if targets is None else self._patterns("target_modules")
        if name in patterns:
            return True
        return any(_ends(name, pattern) for pattern in patterns) and self._in_layers(name)

    def _excluded(self, name: str) -> bool:
        excluded = self.values.get("exclude_modules")
        if isinstance(excluded, str) and excluded:
            if re.fullmatch(excluded, name):
                return True
        elif any(_ends(name, pattern) for pattern in self._patterns("exclude_modules")):
            return True
        return any(re.match(rf"(^|.*\.){module}($|\..*)", name) for module in self.saved_modules)

    def _in_layers(self, name: str) -> bool:
        """Whether a module is in a block that is adapted."""
        given = self.values.get("layers_to_transform")
        layers = given if isinstance(given, list) else [given]
        if given is None or not layers:
            return True
        parents = self._patterns("layers_pattern") or (r"[^.]*",)
        for parent in parents:
            found = re.match(rf"(?:^|.*?\.){parent}\.(\d+)\.", name)
            if found:
                return int(found[1]) in layers
        return False

    def lora(self, name: str, path: str, rank: int) -> LoRA:
        """Return the sizes of one module's part; patterns of the config name exceptions.

        Args:
            name: PEFT's name of the module.
            path: The module's name here.
            rank: The rank that its tensors have.

        Raises:
            CheckpointError: If a size is out of range, or the rank is not the config's.
        """
        usual = self.values.get("r", _RANK if "rank_pattern" in self.values else rank)
        expected = self._exception("rank_pattern", name, usual)
        if expected != rank:
            raise self.error(f"the rank of {path} is {expected}, but its tensors have {rank}")
        make: Callable[..., LoRA] = LoRA
        usual = self.values.get("lora_alpha", _ALPHA)
        values = {
            "alpha": self._exception("alpha_pattern", name, usual),
            "dropout": self.values.get("lora_dropout", 0.0),
            "rank_stabilized": self.values.get("use_rslora") or False,
            "dora": self.dora,
            "base_model": self.values.get("base_model_name_or_path"),
        }
        try:
            return make(rank=rank, targets=path, **values)
        except OptionError as error:
            raise CheckpointError(f"{self.file}: {error}", path=self.file) from error

    def _exception(self, patterns: str, name: str, value: object) -> object:
        """Find a module's own value, as PEFT does: patterns are matched at the end of its name."""
        for pattern, own in self._mapping(patterns).items():
            if re.match(rf"(.*\.)?({pattern})$", name):
                return own
        return value

    def _mapping(self, name: str) -> Mapping[str, object]:
        given = self.values.get(name)
        return given if isinstance(given, dict) else {}

    def _patterns(self, name: str) -> tuple[str, ...]:
        given = self.values.get(name)
        if isinstance(given, str):
            return (given,) if given else ()
        return tuple(map(str, given)) if isinstance(given, list) else ()


def _ends(name: str, ending: str) -> bool:
    return f".{name}".endswith(f".{ending}")


def _is_index(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
