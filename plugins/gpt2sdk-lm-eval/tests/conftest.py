"""One folder, loaded by the harness's own model and by ours."""

import pytest

from gpt2sdk.testing import save_tiny_model


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Return the folder of a tiny model that both can load."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_tiny_model(folder)
    return str(folder)


@pytest.fixture(scope="session")
def theirs(folder):
    """Return the harness's own model."""
    pytest.importorskip("lm_eval", reason="needs lm_eval: pip install -r requirements-dev.txt")
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=folder, device="cpu", batch_size=4)


@pytest.fixture(scope="session")
def ours(folder):
    """Return a gpt2sdk model as the harness makes it."""
    pytest.importorskip("lm_eval", reason="needs lm_eval: pip install -r requirements-dev.txt")
    from lm_eval.api.registry import get_model

    from gpt2sdk_lm_eval import register

    register()
    register()
    return get_model("gpt2sdk").create_from_arg_string(
        f"pretrained={folder}", {"batch_size": 4, "device": "cuda:0", "max_batch_size": None}
    )
