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
