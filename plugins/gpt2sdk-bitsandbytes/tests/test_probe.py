"""Whether quantizers notice where they do not work, and import without detours."""

import subprocess
import sys

import pytest
import torch

from gpt2sdk import PlacementError
from gpt2sdk_bitsandbytes import four_bit_products, library
from gpt2sdk_bitsandbytes.four_bit import BnbFp4, BnbNf4
from gpt2sdk_bitsandbytes.int8 import BnbInt8

CPU = torch.device("cpu")


def run(program):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("kind", [BnbInt8, BnbNf4, BnbFp4])
def test_probe_says_how_products_are_computed(kind):
    assert kind().probe(CPU)


def test_an_unknown_device_is_refused():
    with pytest.raises(PlacementError, match=r"works on .*cpu.*, not on meta"):
        BnbNf4().probe(torch.device("meta"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_gpu_is_named():
    with pytest.raises(PlacementError, match="there is no CUDA device"):
        BnbInt8().probe(torch.device("cuda"))


@pytest.mark.parametrize(("kind", "capability"), [(BnbInt8, (7, 5)), (BnbNf4, (6, 0))])
def test_an_old_gpu_is_refused(monkeypatch, kind, capability):
    major, minor = capability
    older = (major, minor - 1) if minor else (major - 1, 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.version, "cuda", "12.6")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: older)

    with pytest.raises(PlacementError, match=f"needs compute capability {major}.{minor}"):
        kind().probe(torch.device("cuda"))


@pytest.mark.parametrize(
    ("kind", "operation"), [(BnbNf4, "dequantize"), (BnbInt8, "integer_products")]
)
def test_wrong_products_are_noticed(monkeypatch, kind, operation):
    true = getattr(library, operation)
    monkeypatch.setattr(four_bit_products, "has_right_kernel", lambda scheme: False)
    monkeypatch.setattr(library, operation, lambda *given: true(*given) * 2)

    with pytest.raises(PlacementError, match="computes wrong products on cpu"):
        kind().probe(CPU)


def test_a_missing_kernel_is_named(monkeypatch):
    def missing(*given):
        raise NotImplementedError("no such kernel")

    monkeypatch.setattr(library, "quantize", missing)

    with pytest.raises(PlacementError, match=r"bnb_nf4 does not work on cpu.*no such kernel"):
        BnbNf4().probe(CPU)


def test_a_missing_package_is_named(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "bitsandbytes"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "bitsandbytes._ops", None)

    with pytest.raises(PlacementError, match="pip install bitsandbytes"):
        library.load()


def test_the_entry_module_imports_neither_torch_nor_bitsandbytes():
    found = run(
        "import sys, gpt2sdk_bitsandbytes\n"
        "print([name for name in ('torch', 'bitsandbytes') if name in sys.modules])"
    )

    assert "[]\n" == found.stdout, found.stderr


@pytest.mark.slow
def test_importing_fetches_no_kernels(tmp_path):
    # A package of this name would be asked for native code from the hub.
    (tmp_path / "kernels.py").write_text(
        "def get_kernel(*given, **options):\n    print('fetched')\n    raise RuntimeError\n"
    )
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
    alone = run(f"{program}import bitsandbytes")
    found = run(
        f"{program}from gpt2sdk_bitsandbytes import four_bit_products, library\nlibrary.load()\n"
        "import kernels\nprint(kernels.get_kernel.__name__)"
    )

    assert "get_kernel\n" == found.stdout, found.stderr
    assert "" == found.stderr
    if library.has_packed_kernel():
        assert "fetched\n" == alone.stdout
