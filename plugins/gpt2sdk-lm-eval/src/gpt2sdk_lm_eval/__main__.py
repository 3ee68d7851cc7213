"""`python -m gpt2sdk_lm_eval`: the harness's command, which then knows gpt2sdk models."""

import sys

from gpt2sdk_lm_eval.command import run

if __name__ == "__main__":
    run(sys.argv[1:])
