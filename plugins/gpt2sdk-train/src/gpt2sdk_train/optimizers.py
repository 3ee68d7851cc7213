"""AdamW and Muon, with what decays and what does not."""

from collections.abc import Mapping

import torch
from torch import nn
from torch.optim import AdamW, Optimizer

from gpt2sdk import OptionError
from gpt2sdk_train.training_settings import TrainingSettings

_TABLES = ("wte.weight", "wpe.weight", "lm_head.weight")


def make_optimizers(
    parameters: Mapping[str, nn.Parameter], settings: TrainingSettings
) -> list[Optimizer]:
    """Make the optimizers of a model's parameters.

    AdamW (Loshchilov and Hutter, 2017, arXiv:1711.05101) decays matrices only: a bias or a norm's
    scale at 0 means nothing, and a rare token's vector would fade away between its uses. With
    `optimizer="muon"`, the blocks' matrices are stepped along the nearest orthogonal matrix to
    their momentum (Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/), with updates
    as large as AdamW's (Liu et al., 2025, arXiv:2502.16982), so one learning rate serves both.

    Args:
        parameters: What is trained, by name.
        settings: The kind, decay and betas; learning rates are set at each step.

    Raises:
        OptionError: If `muon` is asked for and torch is older than 2.9.
    """
    matrices = [p for name, p in parameters.items() if p.ndim == 2 and name not in _TABLES]
    others = [p for name, p in parameters.items() if p.ndim != 2 or name in _TABLES]
    decay = settings.weight_decay
    if settings.optimizer == "muon":
        return [_muon(matrices, decay)] * bool(matrices) + _adamw([(others, 0.0)], settings)
    return _adamw([(matrices, decay), (others, 0.0)], settings)


def _adamw(
    groups: list[tuple[list[nn.Parameter], float]], settings: TrainingSettings
) -> list[Optimizer]:
    filled = [{"params": group, "weight_decay": decay} for group, decay in groups if group]
    if not filled:
        return []
    fused = all(p.device.type in ("cpu", "cuda") for group, _ in groups for p in group)
    mean, square = settings.betas
    return [AdamW(filled, betas=(mean, square), fused=fused)]


def _muon(matrices: list[nn.Parameter], decay: float) -> Optimizer:
    muon = getattr(torch.optim, "Muon", None)
    if muon is None:
        raise OptionError(
            f"optimizer='muon' needs torch 2.9 or newer, this is {torch.__version__}",
            name="optimizer",
            value="muon",
            expected="adamw",
        )
    optimizer: Optimizer = muon(matrices, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
    return optimizer
