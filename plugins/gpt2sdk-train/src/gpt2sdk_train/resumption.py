"""Whether a run can go on from an earlier one in its folder."""

import json
from collections.abc import Mapping

from torch import nn

from gpt2sdk import GPT2Config, OptionError
from gpt2sdk.gpt2 import GPT2
from gpt2sdk_train.checkpoints import TrainingCheckpoint, TrainingCheckpoints, TrainingState
from gpt2sdk_train.module_layout import AdaptableLM, ModuleLayout
from gpt2sdk_train.weights import Weights

# These may differ when a run goes on: they decide how long it goes and what is written when, not
# what a step does (the number of steps stretches the learning rate, too).
_FREE = frozenset(
    {"epochs", "steps", "save_every", "evaluate_every", "patience", "micro_batch_size"}
)
# These of a model's fields no step depends on; token ids are in the text.
_NO_MATTER = frozenset(
    {"dtype", "extra", "initializer_range", "use_cache"}
    | {"bos_token_id", "eos_token_id", "pad_token_id"}
)


def describe(model: AdaptableLM, weights: Weights, processes: int) -> dict[str, object]:
    """Say what is trained, as JSON has it: all that shapes a step besides settings and text."""
    if isinstance(model, GPT2):
        values: Mapping[str, object] = model.config.to_dict()
        known = GPT2Config.model_fields.keys() - _NO_MATTER
        config = {name: value for name, value in values.items() if name in known}
    else:
        # As it is when it was read from a file.
        config = json.loads(json.dumps(dict(model.sizes)))
    modules = ModuleLayout.of(model).root.modules()
    drops = any(isinstance(module, nn.Dropout) and module.p > 0.0 for module in modules)
    # What is dropped is drawn by each process.
    return {**weights.describe(), "config": config, "processes": processes if drops else 1}


def check_resumable(before: TrainingState, now: TrainingState, steps: int) -> None:
    """Make sure that an earlier run was about the same.

    Args:
        before: Where it is.
        now: The run that is to go on from there, before its first step.
        steps: How many steps there are to be in all.

    Raises:
        OptionError: If a setting that shapes the steps, a text or what is trained is another one,
            or more steps were made than there are to be.
    """
    _check_trained(before.trained, now.trained)
    if steps < before.step:
        raise _bad("steps", steps, f"at least the {before.step} that the run here has made")
    for name, value in before.settings.items():
        given = now.settings.get(name)
        if name not in _FREE and given != value:
            raise _bad(name, given, f"{value!r}, as in the run that goes on here")
    for what, one, other in zip(("text", "validation"), before.digests, now.digests, strict=True):
        if one != other:
            raise OptionError(
                f"{what}: expected that of the run that goes on here, got another; choose another "
                "output folder to start anew",
                name=what,
            )


def _check_trained(before: Mapping[str, object], now: Mapping[str, object]) -> None:
    for key in ("kind", "processes"):
        if key in before and before[key] != now[key]:
            raise _other(key, before[key], now[key])
    for name, value in _members(before, "config").items():
        given = _members(now, "config").get(name)
        if given != value:
            raise _other(name, value, given)
    one, other = _members(before, "adapter"), _members(now, "adapter")
    if one.keys() != other.keys():
        raise _other("targets", ", ".join(one), ", ".join(other))
    for path in one:
        for name, value in _members(one, path).items():
            given = _members(other, path).get(name)
            if given != value:
                raise _other(f"{path}: {name}", value, given)


def _members(values: Mapping[str, object], key: str) -> Mapping[str, object]:
    found = values.get(key)
    return found if isinstance(found, Mapping) else {}


def _other(name: str, expected: object, given: object) -> OptionError:
    if name == "kind":
        message = f"the run in this folder trains {expected}, this one trains {given}"
    else:
        message = f"{name}={given!r}: expected {expected!r}, as in the run that goes on here"
    return OptionError(
        f"{message}; choose another output folder to start anew",
        name=name,
        value=given,
        expected=str(expected),
    )


def earlier_checkpoint(
    checkpoints: TrainingCheckpoints, *, resume: bool
) -> TrainingCheckpoint | None:
    """Return what the run goes on from; `None` for a run from the start.

    Raises:
        OptionError: If the output is a file, or holds checkpoints and it was not asked to go on
            from them.
    """
    folder = checkpoints.folder.parent
    for path in (folder, *folder.parents):
        if path.exists() and not path.is_dir():
            raise _bad("output", str(folder), f"a folder, but {path} is a file")
    latest = checkpoints.latest()
    if latest and not resume:
        raise _bad(
            "output",
            str(folder),
            "a folder without checkpoints; resume=True goes on from those that are there",
        )
    return latest


def _bad(name: str, value: object, expected: str) -> OptionError:
    return OptionError(
        f"{name}={value!r}: expected {expected}", name=name, value=value, expected=expected
    )
