"""`gpt2sdk serve`: from the command line to the last answer."""

import http.client
import json
import os
import signal
import subprocess
import sys

import pytest

from gpt2sdk import Generator, OptionError
from gpt2sdk_serve.command_line import How, load_all, read_preset_file, read_template


def start(*arguments, **environment):
    """Start a server, and return it with its address once it serves."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gpt2sdk", "serve", *arguments, "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )
    said = []
    for line in process.stderr:
        said.append(line)
        if line.startswith("serving"):
            return process, line.split(" at ")[1].split()[0]
    pytest.fail("".join(said))


@pytest.mark.slow
@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_a_server_says_where_it_is_answers_and_stops_when_told(told, tmp_path):
    preset = tmp_path / "preset.json"
    preset.write_text(json.dumps({"temperature": 0}))
    process, address = start("storyteller", "--alias", "tales=storyteller", "--config", str(preset))
    body = json.dumps({"model": "tales", "prompt": "The king", "max_tokens": 5}).encode()
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)
    connection.request("POST", "/v1/completions", body)
    text = json.load(connection.getresponse())["choices"][0]["text"]
    connection.close()
    process.send_signal(told)
    left = process.communicate(timeout=60)[1]

    generator = Generator.from_pretrained("storyteller")
    assert generator.generate("The king", temperature=0, max_new_tokens=5).text == text
    assert 0 == process.returncode
    assert "POST /v1/completions 200" in left
    assert "The king" not in left
    assert left.endswith("stopped\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "10.0.0.1"], "GPT2SDK_API_KEY"),
        (["--alias", "a=b"], "expected NAME=MODEL with one of storyteller"),
        (["--alias", "storyteller=storyteller"], "storyteller is there twice"),
        (["--row-memory", "much"], "much"),
        (["--adapter", "a", "--adapter", "b"], "give others names"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments, said):
    ran = subprocess.run(
        [sys.executable, "-m", "gpt2sdk", "serve", "storyteller", *arguments, "--port", "0"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert 2 == ran.returncode, ran.stderr
    assert said in ran.stderr.splitlines()[-1]
    assert ran.stderr.splitlines()[-1].startswith("error: ")


def test_a_preset_file_is_an_object(tmp_path):
    file = tmp_path / "preset.json"
    for text in ("[]", "{", "3"):
        file.write_text(text)
        with pytest.raises(OptionError, match="--config"):
            read_preset_file(file)
    assert {} == read_preset_file(None)


def test_a_template_is_a_file_or_a_name(tmp_path):
    file = tmp_path / "chat.jinja"
    file.write_text("{{ 1 }}")

    assert ["{{ 1 }}", "default", None] == [
        read_template(each) for each in (str(file), "default", None)
    ]


def test_aliases_share_a_model():
    how = How(None, "auto", "cpu", "auto", None, offline=True)
    served = load_all(["storyteller"], ["a=storyteller", "b=a"], [], how)

    assert ["storyteller", "a", "b"] == list(served)
    assert 1 == len({id(each) for each in served.values()})
