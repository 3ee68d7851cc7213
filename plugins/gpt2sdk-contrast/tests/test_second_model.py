"""Second models: as values, and as folders that are loaded once; and those that do not fit."""

import gc
import weakref

import pytest

from gpt2sdk import CheckpointError, Generator, OptionError
from gpt2sdk.testing import Letters, TableModel, save_tiny_model, tiny_gpt2, tiny_tokenizer
from gpt2sdk_contrast.ensemble import Ensemble

OPTIONS = {"strategy": "greedy", "max_new_tokens": 6}


def tiny(seed=0):
    return Generator(tiny_gpt2(seed), tiny_tokenizer())


def test_a_generator_its_model_and_its_folder_are_the_same(tmp_path):
    save_tiny_model(tmp_path / "amateur", seed=1)
    generator, other = tiny(), tiny(seed=1)

    results = [
        generator.generate("Once upon", amateur_model=each, contrastive_beta=1.0, **OPTIONS)
        for each in (other, other.model, str(tmp_path / "amateur"))
    ]

    assert 1 == len({result.text for result in results})
    assert results[0].text != generator.generate("Once upon", **OPTIONS).text


def test_a_folder_is_loaded_once_for_a_model_and_goes_with_it(tmp_path, monkeypatch):
    save_tiny_model(tmp_path / "amateur", seed=1)
    loaded = []
    plain = Generator.from_pretrained

    def counted(name, **options):
        loaded.append(weakref.ref(made := plain(name, **options)))
        return made

    monkeypatch.setattr(Generator, "from_pretrained", counted)
    generator = tiny()
    for _ in range(2):
        generator.generate("Once", amateur_model=str(tmp_path / "amateur"), **OPTIONS)
    tiny().generate("Once", ensemble=[str(tmp_path / "amateur")] * 2, **OPTIONS)

    assert 2 == len(loaded)
    assert not loaded[0]().model.ln_f.weight.is_inference()
    del generator
    gc.collect()
    assert [None, None] == [each() for each in loaded]


def test_what_was_given_is_shown_by_its_name_or_its_class(tmp_path):
    save_tiny_model(tmp_path / "amateur")
    generator = tiny()

    by_name = generator.generate("Once", amateur_model=str(tmp_path / "amateur"), **OPTIONS)
    by_value = generator.generate("Once", amateur_model=tiny(seed=1).model, **OPTIONS)

    assert str(tmp_path / "amateur") == by_name.options["amateur_model"]
    assert "gpt2sdk.gpt2.model.GPT2" == by_value.options["amateur_model"]


@pytest.mark.parametrize("option", ["amateur_model", "ensemble"])
def test_another_vocabulary_is_refused(option):
    other = TableModel(5)
    with pytest.raises(
        OptionError, match=f"{option} has a vocabulary of 5 tokens, expected one of"
    ):
        tiny().generate("Once", **{option: [other] if option == "ensemble" else other}, **OPTIONS)


@pytest.mark.parametrize("option", ["amateur_model", "ensemble"])
def test_other_tokens_of_the_same_number_are_refused(option):
    model = tiny_gpt2(seed=1)
    letters = Letters()
    other = Generator(model, letters, decoder=letters)
    with pytest.raises(OptionError, match=f"{option} has '.' for token .*same tokens"):
        tiny().generate("Once", **{option: [other] if option == "ensemble" else other}, **OPTIONS)


@pytest.mark.parametrize("option", ["amateur_model", "ensemble"])
@pytest.mark.parametrize("value", [5, "", 1.5])
def test_what_is_no_model_is_refused(option, value):
    with pytest.raises(OptionError, match="a model, a Generator, or the name or folder"):
        tiny().generate("Once", **{option: [value] if option == "ensemble" else value}, **OPTIONS)


def test_a_folder_that_is_not_there_is_an_error_before_any_work(tmp_path):
    with pytest.raises(CheckpointError):
        tiny().generate("Once", amateur_model=str(tmp_path / "nowhere"), **OPTIONS)


def test_components_with_a_model_are_equal_where_it_is_the_same():
    model = TableModel(28)

    assert Ensemble(ensemble=[model]) == Ensemble(ensemble=[model])
    assert Ensemble(ensemble=[model]) != Ensemble(ensemble=[TableModel(28)])
