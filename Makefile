# make app: the explorer. make test: the tests. Both make .venv and install first, if need be.
# make test-all: the slow tests too. make soak: the long trials of docs/reliability.md.
# make site: the explorer as static files in site/. make site ARGS=--serve tries it at once.
# ARGS goes to the command: make test ARGS="-k masks".
# make results: every figure in the pages that is stale. make results ARGS=--check says which ones are, and why.
PYTHON ?= python3
VENV := .venv
ARGS ?=
WORKERS ?= 2
# make app LOCKED=1 installs the versions in requirements.lock, which were tested, instead of the newest that
# pyproject.toml allows. It needs Python 3.11.7 or newer.
LOCKED ?=
INSTALL = $(VENV)/bin/pip install $(if $(LOCKED),-c requirements.lock) -e
TOOLS := .venv-tools

.PHONY: app site test test-all soak notebooks execute results lint screenshots kernel lock audit sbom licences clean

app: $(VENV)/.app
	$(VENV)/bin/python app.py $(ARGS)

site: $(VENV)/.app
	$(VENV)/bin/python -m etviz.site $(ARGS)

# A file's tests share a worker, and so its fixtures: the app that is served, the browser, trained models.
PYTEST = $(VENV)/bin/python -m pytest -n $(WORKERS) --dist loadfile

test: $(VENV)/.dev
	$(PYTEST) -m "not slow and not soak" $(ARGS)

test-all: $(VENV)/.dev
	$(PYTEST) -m "not soak" $(ARGS)

# One after another: they measure time and memory. Each prints its figures.
soak: $(VENV)/.dev
	$(VENV)/bin/python -m pytest -m soak -s $(ARGS)

# Runs every notebook on small budgets, within 180 s each; leaves the files as they are.
notebooks: $(VENV)/.dev
	ETVIZ_NOTEBOOK_BUDGET=small $(VENV)/bin/python -m pytest --nbmake --nbmake-timeout=180 --timeout=180 notebooks $(ARGS)

# Runs notebooks in full on the data at hand and writes their outputs into the files: all, or make execute ARGS="02 07".
execute: $(VENV)/.dev
	$(VENV)/bin/python -m tests.execute_notebooks $(ARGS)

results: $(VENV)/.dev
	$(VENV)/bin/python -m benchmarks.results $(ARGS)

lint: $(VENV)/.dev node_modules/.stamp
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	node_modules/.bin/biome check --error-on-warnings
	node_modules/.bin/tsc
	node_modules/.bin/pyright

screenshots: $(VENV)/.dev
	$(VENV)/bin/python -m tests.browser.screenshots $(ARGS)

# The browser's matrix kernel, by clang and lld, and the module that carries it in base64: no host need know WebAssembly.
ENGINE := etviz/ui/page/engine
KERNEL_OUT ?= $(ENGINE)
kernel:
	clang --target=wasm32 -O2 -msimd128 -ffreestanding -nostdlib -Wall -Wextra -Werror \
		-Wl,--no-entry,--import-memory,--strip-all,-z,stack-size=4096 -o $(KERNEL_OUT)/kernel.wasm $(ENGINE)/kernel.c
	(echo '/** kernel.wasm in base64, which `make kernel` writes. */'; echo; \
		echo "export const KERNEL ="; echo "  \"$$(base64 -w 0 $(KERNEL_OUT)/kernel.wasm)\";") > $(KERNEL_OUT)/kernelbytes.js

$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV)

# A developer's install serves the app too.
$(VENV)/.app: pyproject.toml | $(VENV)/bin/pip
	test -e $(VENV)/.dev -a $(VENV)/.dev -nt pyproject.toml || $(INSTALL) '.[app]'
	touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/pip
	$(INSTALL) '.[dev]'
	touch $@

$(TOOLS)/.stamp:
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/pip install uv pip-audit cyclonedx-bom pip-licenses
	touch $@

node_modules/.stamp: package.json package-lock.json
	npm ci --no-audit --no-fund
	touch $@

# What it is made of. lock writes down the versions in .venv, so run the tests first, and those that other systems need
# beside them; audit asks the Python Packaging Advisory Database about them; sbom and licences describe what .venv holds.
lock: $(TOOLS)/.stamp $(VENV)/.dev
	mkdir -p outputs
	$(VENV)/bin/pip freeze --exclude-editable > outputs/tested.txt
	$(TOOLS)/bin/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11.7 -c outputs/tested.txt \
		--no-emit-index-url --no-header --no-annotate -q --upgrade -o requirements.lock

audit: $(TOOLS)/.stamp
	$(TOOLS)/bin/pip-audit -r requirements.lock --no-deps --disable-pip

sbom: $(TOOLS)/.stamp $(VENV)/.dev
	mkdir -p outputs
	$(TOOLS)/bin/cyclonedx-py environment $(VENV) -o outputs/sbom.json

licences: $(TOOLS)/.stamp $(VENV)/.dev
	mkdir -p outputs
	(sed '/^|/d' docs/licences.md && $(TOOLS)/bin/pip-licenses --python $(VENV)/bin/python --from=mixed --format=markdown \
		--ignore-packages etviz) > outputs/licences.md
	mv outputs/licences.md docs/licences.md

# Leaves data/, outputs/ and checkpoints/ alone.
clean:
	rm -rf $(VENV) $(TOOLS) node_modules build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
