"""Installed entry points are found whole, once, and in one order."""

import pytest

from gpt2sdk.plugins.discovery import allow_list, installed, unmet


def found():
    """Return the fake entry points that are found, as (distribution, entry point)."""
    return [
        (each.origin.distribution, each.origin.plugin)
        for each in installed()
        if each.origin.distribution.startswith("fake")
    ]


def test_entry_points_are_sorted_by_distribution_and_name_whatever_the_path(install):
    install("fake-b", entry_point="one", where="first")
    install("fake-c", entry_point="three", where="first")
    install("fake-a", entry_point="two", where="second")

    assert [("fake-a", "two"), ("fake-b", "one"), ("fake-c", "three")] == found()


def test_entry_points_of_one_distribution_are_sorted_by_name(install, tmp_path):
    install("fake-a")
    (info,) = (tmp_path / "site").glob("*.dist-info")
    (info / "entry_points.txt").write_text("[gpt2sdk]\ntwo = fake_a\none = fake_b\n")

    assert [("fake-a", "one"), ("fake-a", "two")] == found()


def test_a_distribution_found_in_two_folders_counts_once(install):
    install("fake-a", where="lib64", version="1.0")
    install("fake-a", where="lib", version="2.0")

    assert [("fake-a", "acme")] == found()
    assert "2.0" == next(e for e in installed() if e.origin.plugin == "acme").origin.version


def test_one_target_under_two_distribution_names_counts_once(install):
    install("fake-new-name", module="fake_module")
    install("fake-old-name", module="fake_module")

    assert [("fake-new-name", "acme")] == found()


def test_broken_metadata_of_others_is_passed_over(install, tmp_path):
    install("fake-a")
    broken = tmp_path / "site" / "fake_broken-1.0.dist-info"
    broken.mkdir()
    (broken / "entry_points.txt").write_text("[gpt2sdk]\nbroken = broken\n")
    garbled = tmp_path / "site" / "fake_garbled-1.0.dist-info"
    garbled.mkdir()
    (garbled / "METADATA").write_bytes(b"\xff\xfe")
    (garbled / "entry_points.txt").write_bytes(b"\xff\xfe[gpt2sdk]")

    assert [("fake-a", "acme")] == found()


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        ("gpt2sdk", None),
        ("gpt2sdk>=0.1,<0.2", None),
        ("GPT2SDK ~= 0.1.0", None),
        ("gpt2sdk>=1", "gpt2sdk>=1"),
        ("gpt2sdk>=1; extra == 'dev'", None),
        ("gpt2sdk>=1; python_version < '3'", None),
        ("gpt2sdk-sampling>=9", None),
        ("this is no requirement (", None),
    ],
)
def test_only_unmet_requirements_on_gpt2sdk_count(requirement, expected):
    assert expected == unmet(["torch", requirement], "0.1.0")


def test_development_versions_meet_their_range():
    assert unmet(["gpt2sdk>=0.1,<0.2"], "0.1.5.dev1") is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, None), ("", set()), (" , ", set()), ("a,B_c", {"a", "b-c"})],
)
def test_the_allow_list_is_read_from_the_environment(value, expected):
    assert expected == allow_list({} if value is None else {"GPT2SDK_PLUGINS": value})
