"""The distribution registers what it says it holds."""

from pathlib import Path

import gpt2sdk_quantization
from gpt2sdk import Quantizer


def test_quantizers_are_registered_by_name():
    components = gpt2sdk_quantization.gpt2sdk_components()

    assert ["int8", "int4"] == [each.name for each in components]
    assert all(issubclass(each, Quantizer) for each in components)


def test_every_option_stands_in_the_readme():
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    options = [o for each in gpt2sdk_quantization.gpt2sdk_components() for o in each.model_fields]

    assert [] == [option for option in options if f"`{option}`" not in readme]


def test_the_best_quality_is_tried_first():
    ladders = {each.name: each.ladder for each in gpt2sdk_quantization.gpt2sdk_components()}

    assert {"int8": 10, "int4": 20} == ladders
