"""`gpt2sdk serve`: from the command line to the last answer."""

import http.client
import json
import os
import signal
import subprocess
import sys

import pytest

from gpt2sdk import CallFlags, Generator, OptionError
from gpt2sdk.cli.app import app
from gpt2sdk_serve.command_line import load_all, read_template, usual_options


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
    process, address = start(
        "storyteller", "--alias", "tales=storyteller", "--config", str(preset), "--top-k", "9"
    )
    body = json.dumps({"model": "tales", "prompt": "The king", "max_tokens": 5}).encode()
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)
    connection.request("POST", "/v1/completions", body)
    answer = json.load(connection.getresponse())
    connection.close()
    process.send_signal(told)
    left = process.communicate(timeout=60)[1]

    generator = Generator.from_pretrained("storyteller")
    assert generator.generate("The king", temperature=0, top_k=9, max_new_tokens=5).text == (
        answer.get("choices", [answer])[0].get("text", answer)
    )
    assert 0 == process.returncode
    assert "POST /v1/completions 200" in left
    assert "The king" not in left
    assert left.endswith("stopped\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "10.0.0.1"], "GPT2SDK_API_KEY"),
        (["--alias", "a=b"], "expected one of storyteller"),
        (["--alias", "storyteller=storyteller"], "storyteller is there twice"),
        (["--row-memory", "much"], "--row-memory much: expected a size"),
        (["--chat-template", "nowhere.jinja"], "--chat-template does not fit storyteller"),
        (["--adapted", "folder"], "expected NAME=FOLDER"),
        (["--config", "/nowhere.json"], "/nowhere.json"),
        (["-o", "top_kk=3"], "did you mean top_k?"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments, said, capsys):
    with pytest.raises(SystemExit) as ended:
        app(["serve", "storyteller", *arguments, "--port", "0"])
    last = capsys.readouterr().err.splitlines()[-1]

    assert 2 == ended.value.code
    assert said in last
    assert last.startswith("error: ")


def test_the_flags_of_generate_say_what_is_usual(tmp_path):
    file = tmp_path / "preset.json"
    file.write_text(json.dumps({"temperature": 0.5, "top_k": 7, "max_new_tokens": 9}))
    flags = CallFlags(temperature=0.7, config=[file], option=["min_p=0.05"], max_new_tokens=5)

    assert {"temperature": 0.7, "top_k": 7, "min_p": "0.05"} == usual_options(flags)
    with pytest.raises(OptionError, match="is n of a request"):
        usual_options(CallFlags(num_return_sequences=2))
    file.write_text("[]")
    with pytest.raises(OptionError, match="config"):
        usual_options(CallFlags(config=[file]))


def test_a_template_is_a_file_or_a_name(tmp_path):
    file = tmp_path / "chat.jinja"
    file.write_text("{{ 1 }}")

    assert ["{{ 1 }}", "default", None] == [
        read_template(each) for each in (str(file), "default", None)
    ]


def test_aliases_share_a_model():
    served = load_all(["storyteller"], ["a=storyteller", "b=a"], [], CallFlags())

    assert ["storyteller", "a", "b"] == list(served)
    assert 1 == len({id(each) for each in served.values()})
