# make tune   the main job, on real data        make test   the whole test suite        make check   lint, format, types, site
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Apart from .venv, so that the tests never see what is installed to be compared with.
PEERS := .venv-bench
OLDEST := .venv-oldest
# Without the cache of the last build, because what it found would not be said again.
SITE = $(BIN)/zensical build --strict --clean
# -c pins what is installed; PIP_CONSTRAINT would pin build dependencies too, which pyproject.toml does itself.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# Images of containers often forbid Python to keep compiled modules. Without them each of the many processes of the tests
# compiles learnrate again, and each worker of pytest rewrites its plugins: half a minute.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help tune test test-fast test-all test-pythons test-oldest dist-test check docs-site docs-serve format fuzz bench bench-range-test bench-long-curves bench-trials bench-tune bench-gpu bench-choice bench-choice-all bench-carry bench-families bench-until-sure bench-executors bench-study-scale bench-tune-executor paper docs clean

help:
	@echo "make tune    find a learning rate, plan a schedule, show what it gains (real data, no download)"
	@echo "make test    run the whole test suite"
	@echo "make test-fast  run the tests that take less than a second each: a minute, for the daily loop"
	@echo "make test-all  what takes long to install: trackers, wheel and sdist, other versions of Python, the oldest versions"
	@echo "make dist-test    build wheel and sdist, install each into an empty environment, run the tests that need only NumPy"
	@echo "make test-pythons the same tests with Python 3.11, 3.12, 3.13, as far as they are installed"
	@echo "make test-oldest  the oldest versions that learnrate supports (constraints-oldest.txt): a download of 4 GB"
	@echo "make check   lint, format, types, the site with its links"
	@echo "make format  format the code"
	@echo "make fuzz    try odd inputs, for a minute or SECONDS=3600; prints each finding and how to repeat it"
	@echo "make bench   measure, and write benchmarks/results/"
	@echo "make bench-range-test  measure range tests against other libraries', installed into .venv-bench"
	@echo "make bench-long-curves measure a curve of a million updates: bounds, picture, page"
	@echo "make bench-trials      measure trials of several LRs as one batch"
	@echo "make bench-tune        measure what tuning costs beside its updates"
	@echo "make bench-gpu         measure on a GPU, in under 8 minutes"
	@echo "make bench-choice      measure how well tune chooses, on two tasks in minutes"
	@echo "make bench-choice-all  the whole of it, beside other libraries, in hours; LEARNRATE_DATA names the folder of data sets"
	@echo "make bench-carry       measure how the best LR changes with batch, width, depth and length, in an hour; needs LEARNRATE_DATA"
	@echo "make bench-families    compare four families of schedules, each at its own best LR, on three tasks in minutes"
	@echo "make bench-until-sure  simulate how often adding seeds until a difference is sure ends in a false claim"
	@echo "make bench-executors   measure what each executor costs a run; installs Ray and Dask"
	@echo "make bench-study-scale measure what a study of 10,000 runs costs its driver"
	@echo "make bench-tune-executor  measure how much time tune saves with trials side by side"
	@echo "make paper NAME=clr-table-1 SCALE=0.1  run an experiment of a paper again; needs LEARNRATE_DATA"
	@echo "make docs    write the generated pages of docs/"
	@echo "make docs-site   build the site into site/; a link to nothing is an error"
	@echo "make docs-serve  show the site at http://localhost:8000, built again at each change"
	@echo "make clean   remove .venv, .venv-bench, .venv-oldest, site/ and caches"

tune: $(VENV)/demo.stamp
	$(BIN)/learnrate tune

test: $(VENV)/test.stamp
	$(BIN)/python -m pytest -m "not heavy"

test-fast: $(VENV)/test.stamp
	$(BIN)/python -m pytest -m "not slow and not heavy"

# What `make test` leaves out: the tests marked heavy, what a user installs, and other versions.
test-all: $(VENV)/test-all.stamp
	$(BIN)/python -m pytest -m heavy
	$(MAKE) dist-test test-pythons test-oldest

dist-test: $(VENV)/dev.stamp
	$(BIN)/python tests/dist/smoke.py

test-pythons: $(VENV)/dev.stamp
	$(BIN)/python tests/dist/smoke.py 3.11 3.12 3.13

test-oldest: $(OLDEST)/stamp
	$(OLDEST)/bin/python tests/dist/oldest.py

check: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(SITE)

docs-site: $(VENV)/dev.stamp
	$(SITE)

docs-serve: $(VENV)/dev.stamp
	$(BIN)/zensical serve

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/test.stamp
	$(BIN)/python benchmarks/schedules.py

bench-range-test: $(PEERS)/stamp
	$(PEERS)/bin/python benchmarks/range_test.py

bench-long-curves: $(VENV)/test.stamp
	$(BIN)/python benchmarks/long_curves.py

bench-trials: $(VENV)/test.stamp
	$(BIN)/python benchmarks/trials.py

bench-gpu:
	benchmarks/gpu.sh

bench-tune: $(VENV)/test.stamp
	$(BIN)/python benchmarks/tune.py

bench-choice: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks.choice --small

bench-choice-all: $(PEERS)/choice.stamp
	$(PEERS)/bin/python -m benchmarks.choice

bench-carry: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks.carry

bench-families: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks.families

bench-until-sure: $(VENV)/test.stamp
	$(BIN)/python benchmarks/until_sure.py

bench-executors: $(VENV)/test-all.stamp
	$(BIN)/python benchmarks/executors.py

bench-study-scale: $(VENV)/test.stamp
	$(BIN)/python benchmarks/study_scale.py

bench-tune-executor: $(VENV)/test.stamp
	$(BIN)/python benchmarks/tune_executor.py

# The name of an experiment, the factor on its lengths, and the number of processes: make paper NAME=clr-table-1 SCALE=0.1
paper: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks.papers $(or $(NAME),--help) --scale $(or $(SCALE),1) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(EXECUTOR),--executor $(EXECUTOR))

# How long, and the seed of a run to repeat: make fuzz SECONDS=3600 SEED=1
fuzz: $(VENV)/test.stamp
	$(BIN)/python tests/fuzz/fuzz_run.py --seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED))

docs: $(VENV)/test.stamp
	$(BIN)/python docs/make.py

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "learnrate needs Python 3.11 or newer, found " + sys.version.split()[0] + ": set PYTHON=python3.11, say")'
	$(PYTHON) -m venv $(VENV)

# One stamp for each set of dependencies: nothing is installed again until the pins or the project file change.
$(VENV)/%.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing what '$*' needs into $(VENV) ..."
	@$(INSTALL) --editable '.[$*]'
	@case '$*' in test|dev) $(INSTALL) --no-deps timm && tests/install_browser.sh ;; esac
	@touch $@

$(PEERS)/stamp: pyproject.toml constraints.txt benchmarks/requirements.txt | $(BIN)/python
	@echo "installing the libraries to compare with into $(PEERS) ..."
	$(BIN)/python -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --editable '.[torch,plots]'
	@$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps -r benchmarks/requirements.txt
	@touch $@

# With the oldest Python too, 3.11: not all of these versions have wheels for newer ones.
$(OLDEST)/stamp: pyproject.toml constraints-oldest.txt | $(BIN)/python
	@echo "installing the oldest versions into $(OLDEST) ..."
	$(BIN)/python -m venv $(OLDEST)
	@$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-oldest.txt '.[all,demo]' 'pytest<9.2' pytest-xdist hypothesis flax tensorboard 'jsonargparse[signatures]'
	@touch $@

$(PEERS)/choice.stamp: $(PEERS)/stamp benchmarks/choice/requirements.txt
	@$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps -r benchmarks/choice/requirements.txt
	@touch $@

clean:
	rm -rf $(VENV) $(PEERS) $(OLDEST) site .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
