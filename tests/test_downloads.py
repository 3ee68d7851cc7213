"""What failed downloads leave behind is told from what belongs there."""

import pytest

from gpt2sdk.downloads import failed_download


@pytest.mark.parametrize(
    ("content", "in_text", "in_weights"),
    [
        (b"", "it is empty", "it is empty"),
        (b" \n", "it is empty", "it is empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "it is a Git LFS", "it is a Git LFS"),
        (b"<!DOCTYPE html><html>", "it holds a web page", "it holds a web page"),
        (b"\xef\xbb\xbf  <HTML>", "it holds a web page", "it holds a web page"),
        (b"Entry not found", "", "it holds a web page or other text"),
        (b'{"error": "gated"}', "", "it holds a web page or other text"),
        (b"\x80\x02}q\x00.", "", ""),
        (b"\x10\0\0\0\0\0\0\0{}", "", ""),
    ],
)
def test_what_came_is_said(tmp_path, content, in_text, in_weights):
    file = tmp_path / "file"
    file.write_bytes(content)
    found = failed_download(file, text=True), failed_download(file, text=False)

    assert (in_text, in_weights) == tuple(
        said[: len(expected)] if expected else said
        for said, expected in zip(found, (in_text, in_weights), strict=True)
    )
