"""`gpt2sdk lm-eval`: the harness's own command."""

import os
import subprocess
import sys

import pytest

from gpt2sdk_lm_eval.command import with_model


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--tasks", "x"], ["run", "--model", "gpt2sdk", "--tasks", "x"]),
        (["run", "--tasks", "x"], ["run", "--model", "gpt2sdk", "--tasks", "x"]),
        (["--model", "hf"], ["run", "--model", "hf"]),
        (["run", "-M", "hf"], ["run", "-M", "hf"]),
        (["--config=a.yaml"], ["run", "--config=a.yaml"]),
        (["ls", "tasks"], ["ls", "tasks"]),
        (["--help"], ["--help"]),
        ([], []),
    ],
)
def test_a_run_has_our_model_unless_it_names_one(given, expected):
    assert expected == with_model(given)


def without_harness(*arguments):
    """Run the command in a process that has no harness, whether one is installed or not."""
    code = "import sys; sys.modules['lm_eval'] = None; from gpt2sdk.cli.app import app; app()"
    return subprocess.run(
        [sys.executable, "-c", code, "lm-eval", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "GPT2SDK_PLUGINS": "lm_eval"},
    )


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_needs_no_harness(flag):
    ran = without_harness(flag)

    assert (0, "") == (ran.returncode, ran.stderr)
    assert "Run lm-evaluation-harness; `--model gpt2sdk` is the default." in ran.stdout
    assert "is not installed: pip install 'gpt2sdk-lm-eval[harness]'" in ran.stdout


def test_a_run_says_what_to_install():
    ran = without_harness("--tasks", "tale")

    assert (2, "") == (ran.returncode, ran.stdout)
    assert ran.stderr.startswith("error: the harness is missing (")
    assert ran.stderr.endswith("pip install 'gpt2sdk-lm-eval[harness]'\n")


@pytest.mark.slow
@pytest.mark.parametrize("command", [["-m", "gpt2sdk", "lm-eval"], ["-m", "gpt2sdk_lm_eval"]])
def test_a_task_runs_from_the_command_line(command, folder, tmp_path):
    pytest.importorskip("lm_eval", reason="needs lm_eval: pip install -r requirements-dev.txt")
    (tmp_path / "tale.jsonl").write_text('{"text": "Once upon a time the cat sat on the mat."}\n')
    (tmp_path / "tale.yaml").write_text(
        "task: tale\noutput_type: loglikelihood_rolling\ndataset_path: json\n"
        f"dataset_kwargs:\n  data_files:\n    test: {tmp_path}/tale.jsonl\n"
        'test_split: test\ndoc_to_text: ""\ndoc_to_target: "{{text}}"\n'
        "metric_list:\n  - metric: bits_per_byte\n"
    )
    ran = subprocess.run(
        [
            sys.executable,
            *command,
            "--model_args",
            f"pretrained={folder}",
            "--tasks",
            "tale",
            "--include_path",
            str(tmp_path),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "HF_HOME": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"},
    )

    assert ran.returncode == 0, ran.stderr
    assert "bits_per_byte" in ran.stdout
