"""Sizes and devices are read as accelerate reads them, and nothing is guessed."""

from contextlib import nullcontext

import pytest
import torch

from gpt2sdk.errors import OptionError
from gpt2sdk.loading.device_memory import (
    check_devices,
    free_memory,
    memory_budget,
    parse_size,
    size_text,
)

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ("2GB", 2 * 10**9),
        ("2GiB", 2 * 2**30),
        ("1.5 MiB", 3 * 2**19),
        ("0.5KB", 500),
        ("3 TB", 3 * 10**12),
        ("2gB", 2 * 10**9),
        ("2000000B", 2 * 10**6),
        (7, 7),
    ],
)
def test_sizes_are_bytes_in_accelerates_units(size, expected):
    assert expected == parse_size(size)


@pytest.mark.parametrize(
    ("size", "hint"),
    [
        ("2Gb", "Did you mean 2GB?"),
        ("2gb", "Did you mean 2GB?"),
        ("2gib", "Did you mean 2GiB?"),
        ("2", "Did you mean 2GB?"),
        ("1g", "Did you mean 1GB?"),
        ("2000000", "Did you mean 2000000B?"),
        ("500 bytes", "Did you mean 500B?"),
        ("80%", "shares of a device are not offered"),
        ("-1GB", "a size with its unit"),
        ("", "a size with its unit"),
        ("0GB", "1 byte or more"),
        (0, "1 byte or more"),
        (-5, "1 byte or more"),
        (True, "bytes as a number"),
    ],
)
def test_what_could_mean_something_else_is_refused(size, hint):
    with pytest.raises(OptionError, match=r"^max_memory=") as error:
        parse_size(size)

    assert hint in str(error.value)


@pytest.mark.parametrize("nbytes", [999, 10**6, 123_456_789, 2 * 10**9, 10**13])
def test_a_size_that_is_said_is_near_what_it_was(nbytes):
    said = parse_size(size_text(nbytes).replace("k", "K"))

    assert abs(said - nbytes) <= max(60, nbytes // 100)


def test_one_value_is_the_device_that_the_model_runs_on():
    assert {"cpu": 5} == memory_budget(5, CPU, placed=False)
    assert {"cuda:0": 2 * 10**9} == memory_budget("2GB", GPU, placed=False)


def test_a_mapping_is_read_and_left_as_it_was():
    given = {0: "2GB", "cpu": "1GiB", "cuda:1": 7}
    before = dict(given)
    found = memory_budget(given, GPU, placed=True)

    assert [("cuda:0", 2 * 10**9), ("cuda:1", 7), ("cpu", 2**30)] == list(found.items())
    assert before == given


def test_without_a_placement_only_one_device_counts():
    given = {"cpu": 9, 0: 5}

    assert {"cpu": 9} == memory_budget(given, CPU, placed=False)
    assert {"cuda:0": 5} == memory_budget(given, GPU, placed=False)


def test_a_placement_may_use_what_the_cpu_has_free():
    found = memory_budget({0: 5}, GPU, placed=True)

    assert ["cuda:0", "cpu"] == list(found)
    assert found["cpu"] > 2**20


def test_a_placement_may_use_all_gpus_unless_one_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr("gpt2sdk.loading.device_memory.free_memory", lambda device: 5)

    for device, expected in (("cuda", ["cuda:0", "cuda:1", "cpu"]), ("cuda:1", ["cuda:1", "cpu"])):
        assert expected == list(memory_budget(None, torch.device(device), placed=True))
    assert ["cuda:0", "cpu"] == list(memory_budget("1GB", torch.device("cuda"), placed=True))


def test_what_is_free_is_the_budget_where_nothing_is_said():
    (budget,) = memory_budget(None, CPU, placed=False).values()

    assert 0.5 < budget / free_memory(CPU) < 2


@pytest.mark.parametrize("key", ["disk", "tpu:0", "", True, "meta", -1])
def test_a_device_that_is_none_is_refused(key):
    with pytest.raises(OptionError, match="is no device: expected cpu, cuda:0 or the number of"):
        memory_budget({key: 5}, CPU, placed=True)


def test_a_device_that_is_named_twice_is_refused():
    with pytest.raises(OptionError, match="one size for cuda:0, which is named twice"):
        memory_budget({"cuda:0": 5, 0: 6}, GPU, placed=True)


@pytest.mark.parametrize(
    ("given", "device", "placed", "problem"),
    [
        ({0: 5}, "cpu", True, "cpu only"),
        ({0: 5, 1: 5}, "cuda:0", False, "cuda:0 only"),
        ({"cpu": 5}, "cuda:0", False, "a size for cuda:0"),
        ({"cpu": 5}, "cuda:0", True, "a size for cuda:0"),
        ({1: 5}, "cuda:0", True, "a size for cuda:0"),
        ({}, "cpu", False, "a size for cpu"),
        ({0: 5, "cpu": 5}, "cuda:0", False, ""),
        ({1: 5}, "cuda", True, ""),
        ({"cpu": 5}, "cpu", True, ""),
        (5, "cpu", False, ""),
        (None, "cuda:0", True, ""),
    ],
)
def test_devices_that_are_not_used_are_not_named(given, device, placed, problem):
    with pytest.raises(OptionError, match=problem) if problem else nullcontext():
        check_devices(given, torch.device(device), placed=placed)
