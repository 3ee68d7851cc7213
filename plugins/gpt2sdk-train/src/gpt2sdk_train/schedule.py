"""The learning rate over the steps: warm-up, then a fall."""

import math

from gpt2sdk_train.training_settings import TrainingSettings

# Hägele et al., 2024, arXiv:2405.18392: a fifth to two fifths do as well as a cosine.
_COOLDOWN = 0.4


def learning_rate(settings: TrainingSettings, step: int, steps: int) -> float:
    """Return the learning rate of one step.

    It rises in a straight line over the first `warmup_steps`, then falls from
    `learning_rate` to `final_learning_rate` of that: as (1 + cos(πt))/2 over the rest, t from 0
    to 1 (Loshchilov and Hutter, 2016, arXiv:1608.03983), or flat and then straight.

    Args:
        settings: The peak and the shape.
        step: The step, from 0.
        steps: How many there are.

    Example:
        >>> settings = TrainingSettings(learning_rate=1.0, warmup_steps=2)
        >>> [round(learning_rate(settings, step, 10), 3) for step in range(10)]
        [0.5, 1.0, 1.0, 0.962, 0.854, 0.691, 0.5, 0.309, 0.146, 0.038]
    """
    warmup = settings.warmup_steps
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    if settings.schedule == "cosine":
        done = (step - warmup) / max(1, steps - warmup)
        left = 0.5 * (1.0 + math.cos(math.pi * done))
    else:
        left = min(1.0, (steps - step) / max(1.0, _COOLDOWN * steps))
    final = settings.final_learning_rate
    return settings.learning_rate * (final + (1.0 - final) * left)
