# Every target works on a fresh clone: the first one makes .venv from the locked versions.
#   make demo       the whole road on the embedded world, in two tables     make lint    ruff and mypy
#   make test       lint, doctests and all tests but the slow ones         make bench   every benchmark that needs no large data
#   make test-slow  the slow tests                                         make clean   forget caches (keeps .venv and runs)
#   make docs       the guide as a site in site/ (its tools go into .venv-docs)
#   make test-browser  tests of pages in a real Chromium that is installed (what drives it goes into .venv-browser)

PYTHON ?= $(shell command -v python3.11 || command -v python3)
# `make bench`: where real flags are (what needs them is left out where they are not), where figures go, and options of
# `python -m benchmarks`, as in `make bench BENCH=--quick` or `make bench BENCH="--only tamper"`.
ATLAS  ?= ../shared/data/atlas
OUT    ?= runs/bench
BENCH  ?=
BIN    := .venv/bin
READY  := .venv/.installed
# pytest-xdist brings the parallelism, so each process keeps to one thread: on two cores more of them only wait for each other.
WORKERS ?= 2
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false

.PHONY: demo test test-slow test-browser lint bench docs clean

demo: $(READY)
	$(BIN)/python -m agents.demo

test: lint
	$(ONE_THREAD) $(BIN)/python -m pytest -q -n $(WORKERS) -m "not slow"

test-slow: $(READY)
	$(ONE_THREAD) $(BIN)/python -m pytest -q -n $(WORKERS) -m slow

# Beside the project's environment, whose libraries it sees. GOG_CHROMIUM names a Chromium that is called or lies otherwise.
test-browser: .venv-browser/.installed
	.venv-browser/bin/python -c "from benchmarks.browser import find; from index.errors import cli; cli(lambda _: print(find()))"
	$(ONE_THREAD) .venv-browser/bin/python -m pytest -q $$(grep -rl 'from benchmarks.browser' --include='test_*.py' tests)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/mypy index gog_env agents

bench: $(READY)
	$(BIN)/python -m benchmarks --atlas $(ATLAS) --out $(OUT) $(BENCH)

# Its tools are no part of the project's environment: they stay beside it.
docs: .venv-docs/.installed
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --quiet
	@echo "the guide is in site/index.html"

clean:
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist site *.egg-info
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

$(READY): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --no-build-isolation --no-deps -e .
	touch $@

.venv-browser/.installed: $(READY) pyproject.toml
	test -x .venv-browser/bin/python || .venv/bin/python -m venv .venv-browser
	.venv/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))" > "$$(.venv-browser/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/project.pth"
	.venv-browser/bin/python -m pip install --disable-pip-version-check "playwright>=1.65"
	touch $@

.venv-docs/.installed: pyproject.toml
	test -x .venv-docs/bin/python || $(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --disable-pip-version-check "mkdocs>=1.6,<2" "mkdocs-material>=9.8,<10"
	touch $@
