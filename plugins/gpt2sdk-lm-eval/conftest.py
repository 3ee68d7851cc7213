"""Leaves the sources' examples out where the harness they import is not installed."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("lm_eval") else ["src/gpt2sdk_lm_eval/[!_]*.py"]
