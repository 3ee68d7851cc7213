"""A folder is replaced as a whole: any failure leaves the old one, and nothing beside it."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gpt2sdk.errors import CheckpointError
from gpt2sdk.files.folder import replaced_folder


def owned(name):
    return name.startswith("model")


def tree(folder):
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def folder(tmp_path):
    old = tmp_path / "parent" / "folder"
    (old / "logs").mkdir(parents=True)
    (old / "model.bin").write_text("old")
    (old / "model.index").write_text("old")
    (old / "README.md").write_text("mine")
    (old / "logs" / "model.txt").write_text("mine too")
    return old


def replace(folder):
    with replaced_folder(folder, owned) as new:
        (new / "model.bin").write_text("new")


AFTER = {"model.bin": "new", "README.md": "mine", "logs/model.txt": "mine too"}


def test_a_new_folder_is_made_with_its_parents(tmp_path):
    replace(tmp_path / "a" / "b")

    assert {"a/b/model.bin": "new"} == tree(tmp_path)


def test_what_is_owned_is_replaced_and_all_else_is_kept(folder):
    replace(folder)

    assert AFTER == tree(folder)
    assert [folder] == list(folder.parent.iterdir())


def test_permissions_are_those_of_any_new_folder(folder):
    replace(folder)
    other = folder.parent / "other"
    other.mkdir()

    assert other.stat().st_mode == folder.stat().st_mode


def test_a_link_to_a_folder_stays_one(folder, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(folder)
    replace(link)

    assert link.is_symlink()
    assert AFTER == tree(folder)


def test_links_inside_stay_links(folder):
    (folder / "latest").symlink_to("README.md")
    (folder / "broken").symlink_to("nowhere")
    replace(folder)

    assert Path("README.md") == (folder / "latest").readlink()
    assert Path("nowhere") == (folder / "broken").readlink()


def test_files_are_copied_where_links_are_not_to_be_had(folder, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    replace(folder)

    assert AFTER == tree(folder)


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", ["mkdir", "rename", "iterdir"])
def test_a_failure_of_the_disk_leaves_the_old_folder(folder, monkeypatch, call):
    before = tree(folder)
    with monkeypatch.context() as patch:
        patch.setattr(Path, call, full)
        with pytest.raises(CheckpointError, match="and is as it was: No space left on device"):
            replace(folder)

    assert before == tree(folder)
    assert [folder] == list(folder.parent.iterdir())


def test_a_failure_to_flush_leaves_the_old_folder(folder, monkeypatch):
    before = tree(folder)
    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(CheckpointError, match="No space left on device"):
        replace(folder)

    assert before == tree(folder)
    assert [folder] == list(folder.parent.iterdir())


@pytest.fixture
def two_renames(monkeypatch):
    """Let the system be one that cannot exchange names."""
    monkeypatch.setattr("gpt2sdk.files.folder._swapped", lambda one, other: False)


def test_a_failure_of_the_last_rename_brings_the_old_folder_back(folder, monkeypatch, two_renames):
    before = tree(folder)
    rename = Path.rename
    calls = []

    def last_fails(self, target):
        calls.append(target)
        if len(calls) == 3:
            full()
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", last_fails)
    with pytest.raises(CheckpointError, match="No space left on device"):
        replace(folder)

    assert 4 == len(calls)
    assert before == tree(folder)
    assert [folder] == list(folder.parent.iterdir())


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, CheckpointError])
def test_an_error_of_the_writer_leaves_the_old_folder(folder, error):
    before = tree(folder)

    def fail():
        with replaced_folder(folder, owned) as new:
            (new / "model.bin").write_text("half")
            raise error("stop")

    with pytest.raises(error, match="stop"):
        fail()
    assert before == tree(folder)
    assert [folder] == list(folder.parent.iterdir())


def test_what_is_written_is_flushed_before_the_exchange(folder, monkeypatch, two_renames):
    events = []
    fsync, rename = os.fsync, Path.rename
    monkeypatch.setattr(os, "fsync", lambda handle: (events.append("flush"), fsync(handle)))
    monkeypatch.setattr(
        Path, "rename", lambda self, to: (events.append("rename"), rename(self, to))[1]
    )
    replace(folder)

    # The first one gives the new folder its hidden name.
    assert events.index("rename", 1) >= 3
    assert ["rename", "rename", "flush"] == events[-3:]


def test_a_file_in_the_way_is_an_error(tmp_path):
    (tmp_path / "file").write_text("mine")

    with pytest.raises(CheckpointError, match="expected a folder, found a file"):
        replace(tmp_path / "file")

    assert {"file": "mine"} == tree(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="needs file locks")
def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(folder):
    left = folder.with_name(".folder.0123abcd.new")
    (left / "logs").mkdir(parents=True)
    (left / "model.bin").write_text("half a model")
    other = folder.with_name(".folder2.0123abcd.new")
    other.mkdir()
    with replaced_folder(folder, owned) as new:
        (new / "model.bin").write_text("new")
        assert not left.exists()
        replace(folder)
        assert new.exists()

    assert AFTER == tree(folder)
    assert {folder, other} == set(folder.parent.iterdir())


def test_the_old_folder_is_there_at_every_moment(folder, monkeypatch):
    """Where the system exchanges names, the only rename is that of the new hidden folder."""
    renamed = []
    rename = Path.rename
    monkeypatch.setattr(
        Path, "rename", lambda self, to: (renamed.append(self.suffix), rename(self, to))[1]
    )
    replace(folder)

    if not sys.platform.startswith("linux"):
        pytest.skip("names are exchanged on Linux only")
    assert [".making"] == renamed
    assert AFTER == tree(folder)
    assert [folder] == list(folder.parent.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="needs file locks")
def test_a_process_that_dies_between_two_renames_loses_nothing(folder, two_renames):
    before = tree(folder)
    script = """
import os, sys
from pathlib import Path
from gpt2sdk.files import folder
folder._swapped = lambda one, other: False
rename = Path.rename
def dies(self, target):
    rename(self, target)
    if target.suffix == ".old":
        os._exit(9)
Path.rename = dies
with folder.replaced_folder(sys.argv[1], lambda name: True) as new:
    (new / "model.bin").write_text("new")
"""
    died = subprocess.run([sys.executable, "-c", script, str(folder)], check=False)
    assert (9, False) == (died.returncode, folder.exists())

    def fail():
        with replaced_folder(folder, owned):
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - our own
        fail()
    assert before == tree(folder)
    assert [folder] == list(folder.parent.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="needs file locks")
def test_folders_that_were_never_locked_are_removed_once_they_are_old(folder):
    young, aged = (folder.with_name(f".folder.{token}.making") for token in ("0a", "0b"))
    for left in (young, aged):
        left.mkdir()
    os.utime(aged, (0, 0))
    replace(folder)

    assert {folder, young} == set(folder.parent.iterdir())
