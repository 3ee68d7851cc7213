"""The places in a model where an adapter may act."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, cast

from torch import Tensor, nn

from gpt2sdk import QuantizedTable
from gpt2sdk.gpt2 import GPT2, Linear, TiedHead
from gpt2sdk_train.adapted import PLAIN, Adapted, plain
from gpt2sdk_train.module_layout import ModuleLayout


@dataclass(frozen=True, slots=True)
class Site:
    """One module of a model that may have adapters.

    Attributes:
        path: Its name.
        module: The module, or what stands around it and holds its adapters.
        kind: A `matrix`, a `table`, a `norm`, or a `head` that reads the table of tokens.
        inputs: Inputs of a matrix or head, entries of a table, width of a norm.
        outputs: Outputs of a matrix or head, width of a table or norm.
        biased: Whether it has a bias.
        linear: Whether it is a linear layer of a block.
        transposed: Whether files have its matrix `[in, out]`.
    """

    path: str
    module: nn.Module
    kind: Literal["matrix", "table", "norm", "head"]
    inputs: int
    outputs: int
    biased: bool
    linear: bool = False
    transposed: bool = False

    @property
    def base(self) -> nn.Module:
        """The module itself."""
        return plain(self.module)


def find_sites(layout: ModuleLayout) -> dict[str, Site]:
    """Return the places by their modules' names, adapted or not, in the model's order."""
    return {site.path: site for site in _sites(layout)}


def _sites(layout: ModuleLayout) -> Iterator[Site]:
    around = ""
    for path, module in list(layout.root.named_modules()):
        if (around and path.startswith(around)) or path in layout.read_past:
            continue
        if isinstance(module, Adapted):
            around = f"{path}."
        base = plain(module)
        if isinstance(layout.model, GPT2):
            site = _site(path, module, base, layout.model) if isinstance(base, PLAIN) else None
        else:
            site = _foreign_site(path, module, base, layout)
        if site is not None:
            yield site


def _site(path: str, module: nn.Module, base: nn.Module, model: GPT2) -> Site:
    config = model.config
    width = config.n_embd
    if isinstance(base, nn.LayerNorm):
        return Site(path, module, "norm", width, width, biased=True)
    if isinstance(base, TiedHead):
        return Site(path, module, "head", width, config.vocab_size, biased=False)
    if isinstance(base, nn.Embedding | QuantizedTable):
        entries = config.n_positions if path == "wpe" else config.vocab_size
        return Site(path, module, "table", entries, width, biased=False)
    inner = config.inner_size
    inputs = inner if path.endswith("mlp.c_proj") else width
    outputs = {"c_attn": 3 * width, "c_fc": inner, "lm_head": config.vocab_size}
    last = path.rpartition(".")[2]
    block = path != "lm_head"
    return Site(
        path,
        module,
        "matrix",
        inputs,
        outputs.get(last, width),
        biased=block,
        linear=block,
        transposed=f"{path}.weight".endswith(GPT2.stored_transposed),
    )


def _foreign_site(
    path: str, module: nn.Module, base: nn.Module, layout: ModuleLayout
) -> Site | None:
    """Return a place in another library's network; `None` for what is none."""
    head = path == layout.head
    if head and layout.tied:
        return Site(path, module, "head", layout.width, layout.model.vocab_size, biased=False)
    if isinstance(base, PLAIN) and hasattr(base, "in_features"):
        matrix = cast("Linear", base)
        sizes = matrix.in_features, matrix.out_features
        biased = matrix.bias is not None
        return Site(path, module, "matrix", *sizes, biased=biased, linear=not head)
    own = dict(base.named_parameters(recurse=False))
    weight = own.get("weight")
    if isinstance(base, nn.Embedding):
        looks_up = _looks_up(type(base)) and weight is not None
        return Site(path, module, "table", *_pair(weight), biased=False) if looks_up else None
    leaf = next(base.children(), None) is None and set(own) <= {"weight", "bias"}
    if leaf and weight is not None and weight.ndim == 1:
        return Site(path, module, "norm", len(weight), len(weight), biased="bias" in own)
    return None


def _pair(table: Tensor | None) -> tuple[int, int]:
    entries, width = (0, 0) if table is None else table.shape
    return entries, width


def _looks_up(kind: type[nn.Module]) -> bool:
    """Whether a table gives out its vectors as they are: some scale them, or count entries anew.

    >>> _looks_up(nn.Embedding)
    True
    """
    # What is read as a head, too, does the rest as the class below it.
    kinds = (
        each for each in kind.__mro__ if "forward" in vars(each) and "attend" not in vars(each)
    )
    return next(kinds) is nn.Embedding
