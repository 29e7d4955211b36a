# Everything happens in .venv, which the first target that needs it makes and later ones keep up to date.
#
#   make test PYTHON=python3.13    makes .venv anew from another interpreter (3.11 or later), which is then remembered
#   make test ARGS="-k udp -x"     ARGS is handed to the program behind the target

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# The stamp is written last, so that an interrupted installation is redone. It says from which interpreter and in which
# folder the environment was made: an environment that was moved or copied does not work.
INSTALLED := $(shell cat $(STAMP) 2>/dev/null)
PYTHON ?= $(or $(firstword $(INSTALLED)),python3.11)
KEY := $(PYTHON) $(CURDIR)
NATIVE := $(shell find plugins docs/examples -name build -prune -o \( -name CMakeLists.txt -o -name '*.[ch]pp' -o -name '*.[ch]' \) -print)
INPUTS := $(wildcard pyproject.toml requirements/* plugins/*/pyproject.toml docs/examples/*/pyproject.toml) $(NATIVE)
PACKAGES := spead_transport $(notdir $(wildcard plugins/*/src/spead_transport_*))
CODE := spead_transport $(wildcard plugins/*/src) tests benchmarks docs

comma := ,

.PHONY: help
help: ## Print this list
	@grep -E '^[a-z-]+:.* ## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:.* ## /\t/' | expand -t 14

.PHONY: demo
demo: $(STAMP) ## Stream from a real spead2 sender, then over inproc and udp; plots to out/
	@PYTHONPATH=docs/examples $(BIN)/python -m demo $(ARGS)

.PHONY: test
test: $(STAMP) native-test ## Run the tests
	@$(BIN)/python -m pytest $(ARGS)

# $(call native_tests,folder,sanitizers): build and run the native library's own tests
define native_tests
	PATH=$(CURDIR)/$(BIN):$$PATH cmake -S plugins/fastpath -B build/$(1) -G Ninja -DSPEAD_BINDING=OFF -DSPEAD_TESTS=ON \
	    -DSPEAD_SANITIZE=$(2) > /dev/null
	PATH=$(CURDIR)/$(BIN):$$PATH cmake --build build/$(1) --parallel 2 > build/$(1)/build.log || {
	    cat build/$(1)/build.log >&2
	    exit 1
	}
	build/$(1)/spead_tests
endef

.PHONY: native-test
native-test: $(STAMP) ## Run the tests of the native library alone
	@$(call native_tests,native,)

.PHONY: sanitize
sanitize: $(STAMP) ## Run them with the sanitizers for addresses, undefined behaviour and threads
	@$(call native_tests,native-address,address$(comma)undefined)
	$(call native_tests,native-thread,thread)

.PHONY: lint
lint: $(STAMP) ## Check style and formatting
	@$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: types
types: $(STAMP) ## Check types with mypy and pyright
	@$(BIN)/mypy --strict $(CODE)
	$(BIN)/pyright
	for package in $(PACKAGES); do
	    report=$$(PATH=$(CURDIR)/$(BIN):$$PATH pyright --verifytypes $$package --ignoreexternal) || {
	        echo "$$report" >&2
	        exit 1
	    }
	    echo "$$package: $$(grep 'completeness' <<< "$$report")"
	done

.PHONY: docs
docs: $(STAMP) ## Build the manual into site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet $(ARGS)
	echo "the manual is in site/index.html"

.PHONY: names
names: $(STAMP) ## Write the manual's table of spead2's names
	@$(BIN)/python -m tests.migration.table

.PHONY: bench
bench: $(STAMP) ## Compare with spead2 for docs/: some minutes, best on a quiet machine
	@$(BIN)/python -m benchmarks.source_build
	$(BIN)/python -m benchmarks --output docs/benchmarks --command 'make bench$(if $(ARGS), ARGS="$(ARGS)")' $(ARGS)

.PHONY: bench-quick
bench-quick: $(STAMP) ## The same in less than a minute, for out/
	@$(BIN)/python -m benchmarks --quick $(ARGS)

.PHONY: bench-rate
bench-rate: $(STAMP) ## How precisely rates are kept: some minutes, best on a quiet machine
	@$(BIN)/python -m benchmarks.rate $(ARGS)

.PHONY: bench-transports
bench-transports: $(STAMP) ## How fast transports are next to inproc, e.g. ARGS="inproc cqueue", or "--processes": some seconds
	@$(BIN)/python -m benchmarks.transports $(ARGS)

.PHONY: constraints
constraints: $(STAMP) ## Choose the newest versions of all dependencies anew
	@$(BIN)/pip install -qq uv
	names=$$(sed -nE 's/^name = "(.*)"/\1/p' $(filter %pyproject.toml,$(INPUTS)))
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --upgrade --no-header --no-annotate \
	    $$(printf -- '--no-emit-package %s ' $$names) --output-file requirements/constraints.txt requirements/dev.in

.PHONY: clean
clean: ## Remove everything that was built, .venv too
	@rm -rf $(VENV) site out build dist plugins/*/build docs/examples/*/build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -f docs/examples/*/src/*/*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: venv
venv: $(STAMP) ## Only make .venv, or bring it up to date

.PHONY: FORCE
FORCE:

$(STAMP): $(INPUTS) $(if $(filter-out $(KEY),$(INSTALLED))$(filter-out $(INSTALLED),$(KEY)),FORCE)
	@command -v $(PYTHON) > /dev/null || {
	    echo "There is no $(PYTHON) here. Name a Python, 3.11 or later: make $(MAKECMDGOALS) PYTHON=python3" >&2
	    exit 1
	}
	$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"{sys.executable} is Python {v[0]}.{v[1]}; 3.11 or later is needed")'
	if [ "$(INSTALLED)" != "$(KEY)" ]; then
	    echo "making $(VENV) with $(PYTHON)"
	    rm -rf $(VENV)
	    $(PYTHON) -m venv $(VENV)
	fi
	rm -f $@
	echo "installing into $(VENV)"
	$(BIN)/python -m pip install -qq --disable-pip-version-check -c requirements/constraints.txt -r requirements/dev.in
	echo "$(KEY)" > $@
