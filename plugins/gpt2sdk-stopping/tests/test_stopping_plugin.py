"""The distribution registers what it says it holds."""

from pathlib import Path

import gpt2sdk_stopping


def test_a_criterion_is_named_as_its_option():
    components = gpt2sdk_stopping.gpt2sdk_components()

    assert [each.name for each in components] == [each.switch() for each in components]


def test_every_option_stands_in_the_readme():
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    options = [o for each in gpt2sdk_stopping.gpt2sdk_components() for o in each.model_fields]

    assert [] == [option for option in options if f"`{option}`" not in readme]
