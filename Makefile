PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
RUN := PATH="$(CURDIR)/$(BIN):$$PATH" mlflow run .
HOST ?= 127.0.0.1
PORT ?= 5000
DASHBOARD_PORT ?= 8080
PAGE_PORT ?= 7860
LOCKS := requirements.lock requirements-cuda.lock server/requirements.lock
PARALLEL := -n logical --dist worksteal
COMPILE = $(BIN)/uv pip compile --quiet --no-config --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --no-annotate --no-header $(UPGRADE)

REFERENCE := reference-results/original-4qaed.zip

.PHONY: setup demo test test-quick test-platform test-faults lint audit locks pin ui dashboard page mlproject docs reference-results

setup: .venv/installed
	@$(BIN)/python -m mer_mlflow.commands.environment

.venv/installed: requirements.txt requirements-dev.txt server/requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --upgrade pip
	$(BIN)/python -m pip install -q -r requirements.txt -r requirements-dev.txt
	$(BIN)/python -m pip install -q --no-deps --editable .
	$(BIN)/python -m compileall -q -j 0 .venv/lib || true
	touch $@

demo: setup
	$(RUN) -e train -P method=svm -P dataset=demo
	$(RUN) -e train -P method=cnn -P dataset=demo
	$(RUN) -e train -P method=crnn -P dataset=demo -P duration=5
	$(RUN) -e report
	$(RUN) -e fit -P method=svm -P dataset=demo -P register=true
	$(RUN) -e predict -P clip=demo -P model=models:/mer-svm@candidate
	@echo
	@echo "Every fold is a run of its own. To look at them: make ui"

test: setup
	$(BIN)/python -m pytest $(PARALLEL)

# what one runs while editing: the tests of single functions
test-quick: setup
	$(BIN)/python -m pytest $(PARALLEL) -m "not platform and not slow"

test-platform: setup
	$(BIN)/python -m pytest tests/platform -m "platform or not platform"

test-faults: setup
	MER_FAULT_KILLS=30 MER_FAULT_EXAMPLES=2000 $(BIN)/python -m pytest tests/faults
	MER_FAULT_CLUSTER=20 $(BIN)/python -m pytest tests/crossval/executors/test_cluster_faults.py
	MER_FAULT_CLUSTER=20 $(BIN)/python -m pytest tests/platform/test_hosts.py -k cut -m platform

lint: setup audit
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# known vulnerabilities of what the images install; says so where there is no network to ask
audit: setup
	$(BIN)/python .ci/audit.py $(LOCKS)

# the images' packages with the hashes of their files, from the pins; UPGRADE=--upgrade renews the rest
locks: setup
	$(COMPILE) requirements.txt -o requirements.lock
	$(COMPILE) -c requirements.txt server/requirements.txt -o server/requirements.lock
	sed -n 's/^tensorflow==/tensorflow[and-cuda]==/p' requirements.txt | $(COMPILE) - -c requirements.lock \
		| awk 'NR == FNR {if (/^[^ ]/) known[$$1]; next} /^[^ ]/ {keep = !($$1 in known)} keep' requirements.lock - \
		>requirements-cuda.lock

# the published images' digests, into docker-compose.yml and the Dockerfiles
pin:
	server/pin

ui: setup
	-@$(BIN)/python -m mer_mlflow.commands.views http://$(HOST):$(PORT)
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow server --host $(HOST) --port $(PORT) --workers 1 \
		--backend-store-uri $${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}

dashboard: setup
	$(BIN)/optuna-dashboard --host $(HOST) --port $(DASHBOARD_PORT) $${MER_OPTUNA_STORAGE:-sqlite:///optuna.db}

page: setup
	$(BIN)/mer page --host=$(HOST) --port=$(PAGE_PORT)

# what follows from declarations: the entry points, and the README's table
mlproject:
	$(BIN)/python -m mer_mlflow.commands.mlproject MLproject
	$(BIN)/python -m mer_mlflow.commands.readme README.md

# finished runs for a first report; DATA is a folder with the folder original-4qaed
reference-results: setup
	MLFLOW_EXPERIMENT_NAME=reference $(BIN)/mer study --plan reference-results/plan.yaml --data_root "$(DATA)"
	rm -f $(REFERENCE).new
	$(BIN)/mer export --experiment reference --archive $(REFERENCE).new
	mv -f $(REFERENCE).new $(REFERENCE)
	$(BIN)/python -m mer_mlflow.commands.readme README.md

# documentation in site/, without network; --quiet would hide broken links from --strict
docs: setup
	NO_MKDOCS_2_WARNING=1 PYTHONPATH="$(CURDIR)" $(BIN)/python -m mkdocs build --strict
