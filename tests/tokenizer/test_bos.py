"""Whether texts begin with the bos token: said in files of every age, and kept by saving."""

import json

import pytest
from tokenizers import Tokenizer as Library
from tokenizers import processors

from gpt2sdk.testing.tiny import tiny_tokenizer
from gpt2sdk.tokenizer.tokenizer import Tokenizer

END = "<|endoftext|>"
TEMPLATES = {
    "none": None,
    "byte level": processors.ByteLevel(trim_offsets=False),
    "bos": processors.TemplateProcessing(single=f"{END} $A", special_tokens=[(END, 277)]),
    "eos": processors.TemplateProcessing(single=f"$A {END}", special_tokens=[(END, 277)]),
    "both": processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single=f"{END} $A {END}", special_tokens=[(END, 277)]),
        ]
    ),
}


def read(folder, template, **settings):
    tiny_tokenizer().save(folder)
    library = Library.from_file(str(folder / "tokenizer.json"))
    if template is not None:
        library.post_processor = template
    library.save(str(folder / "tokenizer.json"))
    written = {"bos_token": END, "eos_token": END, **settings}
    (folder / "tokenizer_config.json").write_text(json.dumps(written))
    return Tokenizer.from_folder(folder)


@pytest.mark.parametrize(
    ("template", "expected"),
    [("none", False), ("byte level", False), ("bos", True), ("eos", False), ("both", True)],
)
def test_the_template_says_it(tmp_path, template, expected):
    assert expected == read(tmp_path, TEMPLATES[template]).adds_bos


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("said", [None, True, False])
def test_saving_says_the_same_in_both_files(tmp_path, template, said):
    settings = {} if said is None else {"add_bos_token": said}
    tokenizer = read(tmp_path, TEMPLATES[template], **settings)
    tokenizer.save(tmp_path)
    saved = Tokenizer.from_folder(tmp_path)
    ids = Library.from_file(str(tmp_path / "tokenizer.json")).encode("a").ids
    written = json.loads((tmp_path / "tokenizer_config.json").read_text())

    assert tokenizer.adds_bos == saved.adds_bos == (ids[:2] == [277, *tokenizer.encode("a")])
    assert tokenizer.adds_bos == (written.get("add_bos_token") is True)
    assert tokenizer.adds_bos == (said is True or template in ("bos", "both"))


def test_without_a_bos_token_nothing_is_added(tmp_path):
    tokenizer = read(tmp_path, TEMPLATES["none"], bos_token=None, add_bos_token=True)

    assert not tokenizer.adds_bos
    tokenizer.save(tmp_path)
    assert not Tokenizer.from_folder(tmp_path).adds_bos
