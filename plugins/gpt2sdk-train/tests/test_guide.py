"""The guide lists every setting as it is."""

from pathlib import Path

import pytest

from gpt2sdk_train import LoRA, TrainingSettings

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "train.md"


def row(name, field):
    """Return a field's line: `| name | default | description |`."""
    many = field.default if isinstance(field.default, tuple) else (field.default,)
    shown = ", ".join(f"`{value}`" for value in many if value is not None)
    return f"| `{name}` | {shown or 'none'} | {field.description} |"


@pytest.mark.parametrize("kind", [TrainingSettings, LoRA])
def test_the_guide_has_a_row_for_each_setting(kind):
    lines = GUIDE.read_text(encoding="utf-8").splitlines()

    for name, field in kind.model_fields.items():
        assert row(name, field) in lines
