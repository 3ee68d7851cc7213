"""The distribution registers what it says it holds."""

from pathlib import Path

import gpt2sdk_sampling
from gpt2sdk import LogitsProcessor


def test_a_processor_is_named_as_its_option():
    components = gpt2sdk_sampling.gpt2sdk_components()

    processors = [each for each in components if issubclass(each, LogitsProcessor)]
    assert [each.name for each in processors] == [each.switch() for each in processors]


def test_every_component_stands_in_the_readme():
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    missing = [
        f"{component.name}.{option}"
        for component in gpt2sdk_sampling.gpt2sdk_components()
        for option in component.model_fields
        if f"`{option}" not in readme
    ]

    assert [] == missing
