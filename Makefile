# make demo    tell a tale: with the storyteller, or with MODEL=folder
# make test    all tests
# make check   formatting, lint, types, layers, documentation
# make docs    the site, in site/
# make bench   decoding beside other libraries, in ten minutes; BENCH='--cases all' for more
# make bench-all    every benchmark, results in benchmarks/results/
# make bench-peers  CTranslate2 and llama.cpp in .venv-peers, for make bench: takes long
# make samples what documentation prints, written anew
# make native  the compiled CPU engine, anew; make native-sanitize tests it under ASan and UBSan
# make native-arm     its bits on 64-bit Arm, emulated; make native-wheels its wheels, in dist/
# make lock    pins the newest releases in constraints.txt
# make test-newest, make test-oldest   tests against the newest and the oldest releases allowed
#
# The first six make .venv first, with gpt2sdk and all plugins installed from this tree.

PYTHON  ?= python3
WORKERS ?= 2

BIN     := .venv/bin
TORCH   ?= $(shell sed -n 's/^torch==//p' constraints.txt)
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
READY   := .venv/.ready
ENGINE  := plugins/gpt2sdk-native/src/gpt2sdk_native
LIBRARY := $(ENGINE)/engine/libgpt2sdk.so
TREE    := -e . $(PLUGINS:%=-e ./%)

# What compares with libraries that need newer releases than the oldest allowed, or looks at files.
NOT_OLD  = tests/meta tests/parity $(shell grep -rlE '(import|from) (transformers|peft|tensorboard)' \
             --include='test_*.py' tests plugins)

export NO_MKDOCS_2_WARNING = 1

.PHONY: native native-sanitize native-arm native-wheels demo test test-newest test-oldest check docs bench bench-all bench-peers samples format lock clean
.DEFAULT_GOAL := test

demo: $(READY)
	@$(BIN)/python scripts/demo.py $(MODEL)

test: $(READY) $(LIBRARY)
	$(BIN)/pytest -n $(WORKERS) --dist worksteal

# Both with the pinned torch, or another one: make test-oldest TORCH=2.6.0
test-newest:
	rm -rf .venv-newest
	$(PYTHON) -m venv .venv-newest
	echo "torch==$(TORCH)" > .venv-newest/constraints.txt
	.venv-newest/bin/python -m pip install --quiet -c .venv-newest/constraints.txt \
	    -r requirements-dev.txt $(TREE)
	.venv-newest/bin/python -m pip check
	.venv-newest/bin/pytest -n $(WORKERS) --dist worksteal

# Old releases use what newer ones deprecate: that is no fault of this tree.
test-oldest:
	rm -rf .venv-oldest
	$(PYTHON) -m venv .venv-oldest
	$(PYTHON) scripts/lowest.py --torch $(TORCH) > .venv-oldest/constraints.txt
	.venv-oldest/bin/python -m pip install --quiet -c .venv-oldest/constraints.txt \
	    -r requirements-test.txt $(TREE)
	.venv-oldest/bin/python -m pip check
	.venv-oldest/bin/pytest -n $(WORKERS) --dist worksteal -W ignore::DeprecationWarning \
	    $(NOT_OLD:%=--ignore=%)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/mkdocs build --strict --quiet

docs: $(READY)
	$(BIN)/mkdocs build --strict

bench: $(READY) $(LIBRARY)
	$(BIN)/python benchmarks/bench_decode.py $(BENCH)

bench-all: $(READY) $(LIBRARY)
	@for script in benchmarks/bench_*.py; do echo $$script; $(BIN)/python $$script || exit 1; done

# A build of llama.cpp for a processor with AMX ends with an illegal instruction in Q8_0.
AVX512 = $(if $(shell grep -m1 -o avx512_bf16 /proc/cpuinfo),ON,OFF)
bench-peers:
	test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet ctranslate2 numpy
	CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_AVX512=$(AVX512) \
	    -DGGML_AVX512_VNNI=$(AVX512) -DGGML_AVX512_BF16=$(AVX512)" \
	    .venv-peers/bin/python -m pip install llama-cpp-python

samples: $(READY)
	$(BIN)/python scripts/refresh_samples.py

native: $(READY)
	$(BIN)/python -m gpt2sdk_native.build

# Where nothing can compile it, one line says so, and torch computes.
$(LIBRARY): $(wildcard $(ENGINE)/engine/*.[ch]) $(ENGINE)/build.py | $(READY)
	@$(BIN)/python -m gpt2sdk_native.build

native-arm: $(READY) $(LIBRARY)
	$(BIN)/pytest -q -rs plugins/gpt2sdk-native/tests/test_native_programs.py

# Built by zig against an old C library, so that they run on any Linux that has one like it.
native-wheels: $(READY)
	$(BIN)/python -m pip install --quiet ziglang
	for processor in x86_64 aarch64; do \
	    GPT2SDK_NATIVE_TARGET=$$processor $(BIN)/python -m pip wheel --quiet --no-deps \
	        --no-build-isolation --wheel-dir dist plugins/gpt2sdk-native || exit 1; done

# Python itself is not instrumented: its leaks are its own.
native-sanitize: $(READY)
	$(BIN)/python -m gpt2sdk_native.build -g -fsanitize=address,undefined -fno-sanitize-recover=undefined
	LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libstdc++.so)" \
	    ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 $(BIN)/pytest -q plugins/gpt2sdk-native/tests; \
	    found=$$?; $(BIN)/python -m gpt2sdk_native.build; exit $$found

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock:
	$(PYTHON) scripts/lock.py

$(READY): constraints.txt requirements-dev.txt requirements-test.txt pyproject.toml $(PLUGINS:%=%/pyproject.toml)
	@echo "setting up .venv, once: this takes a minute or two"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -r requirements-dev.txt $(TREE)
	@touch $@

clean:
	rm -rf .venv .venv-newest .venv-oldest .venv-peers site build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
