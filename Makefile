PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: venv demo test test-long check bench bench-record wheel clean up up-elk down

venv: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml $(wildcard services/*/pyproject.toml services/*/setup.py) setup.py src/dashcam/record/_speedups.c
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[demo,dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $(foreach d,$(wildcard services/*/pyproject.toml),-e $(dir $(d)))
	touch $@

demo: venv
	$(BIN)/dashcam demo $(if $(ONCE),--once)

test: venv
	$(BIN)/python -m pytest

test-long: venv
	$(BIN)/python -m pytest -m long

# The peers that are measured against come with the first run; BENCH="log_call lookup" chooses, QUICK=1 shortens.
bench: venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick) $(BENCH)

bench-record: venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	$(BIN)/python -m benchmarks --record $(if $(QUICK),--quick) $(BENCH)

check: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The wheel of this machine, tested where nothing else is installed; releases build all others (.github/workflows).
wheel:
	rm -rf build/wheel && mkdir -p build/wheel
	$(PYTHON) -m venv build/wheel/clean
	build/wheel/clean/bin/python -m pip --quiet --disable-pip-version-check wheel --no-deps --wheel-dir build/wheel .
	build/wheel/clean/bin/python -m pip --quiet --disable-pip-version-check install build/wheel/dashcam-*.whl
	build/wheel/clean/bin/python tests/installed.py
	@ls build/wheel/*.whl

# Passwords and keys are made up once; an .env that is there stays as it is.
.env:
	umask 077; while IFS= read -r line; do \
	  case $$line in \
	    *_PASSWORD=|*_KEY=) echo "$$line$$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')";; \
	    *) printf '%s\n' "$$line";; \
	  esac; \
	done < .env.example > $@.new && mv $@.new $@

up: .env
	docker compose up --build --detach

up-elk: .env
	umask 077; sed 's/^LOG_BACKEND=.*/LOG_BACKEND=elk/' .env > .env.new && mv .env.new .env
	docker compose --file docker-compose.yml --file docker-compose.elk.yml up --build --detach
	@echo "Kibana: http://127.0.0.1:5601, user elastic, password ELASTIC_PASSWORD in .env"

down:
	docker compose --file docker-compose.yml --file docker-compose.elk.yml --profile logstash down

clean:
	rm -rf $(VENV) build *.egg-info
