PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Where this is set, each of the many processes that are started here would compile the package anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: venv demo test chaos fuzz test-long check bench bench-record wheel clean secrets up up-elk down rotate-keys images lock test-containers

venv: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml $(wildcard services/*/pyproject.toml services/*/setup.py) setup.py $(wildcard src/dashcam/*.[ch] src/dashcam/*/*.[ch] src/dashcam/*/*/*.[ch])
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[demo,dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $(foreach d,$(wildcard services/*/pyproject.toml),-e $(dir $(d)))
	touch $@

demo: venv
	$(BIN)/dashcam demo $(if $(ONCE),--once)

# A test often waits for a process: a worker more than there are processors. WORKERS=0 runs one test after another.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
test: venv
	$(BIN)/python -m pytest --numprocesses $(WORKERS)

# For every commit: the folders that mirror src, without search engines and browsers.
.PHONY: test-fast
FAST := $(addprefix tests/,cli find mcp record ship show spool testing watch destinations test_rooms.py test_docs.py)
test-fast: venv
	$(BIN)/python -m pytest --numprocesses $(WORKERS) -m "not (long or containers or browser or engine or fuzz)" $(FAST)

# Minutes of any input: lines, segments, searches, answers of every backend, addresses of the viewer.
fuzz: venv
	$(BIN)/python -m pytest -m fuzz --hypothesis-profile=fuzz --timeout=3600

# Real processes, disks and a failing backend, a fault a second: DURATION is in seconds, for each kind of disk.
chaos: venv
	for disk in none ext4 xfs btrfs; do \
	  $(BIN)/python -m tests.chaos --disk $$disk --duration $(or $(DURATION),60) $(if $(SEED),--seed $(SEED)) \
	    --report chaos-$$disk.json || exit 1; \
	done

# What docs/reliability.md publishes, as long as is asked for: each prints a table, and writes JSON beside it.
.PHONY: simulation soak cuts kills clips damage
simulation: venv
	$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),1000) --from $(or $(FROM),0) --jobs $(or $(JOBS),1) --report simulation.json

soak: venv
	$(BIN)/python -m tests.chaos --soak --disk $(or $(DISK),ext4) --duration $(or $(DURATION),7200) --report soak.json

cuts: venv
	for disk in ext4 xfs btrfs; do \
	  $(BIN)/python -m tests.cuts --disk $$disk --cuts $(or $(CUTS),70) --report cuts-$$disk.json || exit 1; \
	done

kills: venv
	$(BIN)/python -m tests.kills --kills $(or $(KILLS),5000) --report kills.json

# The DEBUG lines of failed requests through kills: a million requests and a thousand kills take most of an hour.
clips: venv
	$(BIN)/python -m tests.kills.clips --requests $(or $(REQUESTS),1000000) --kills $(or $(KILLS),1000) --report clips.json

damage: venv
	$(BIN)/python -m tests.damage --segments $(or $(SEGMENTS),8192) --report damage.json

test-long: venv
	$(BIN)/python -m pytest -m "long and not containers"
	$(BIN)/python -m pytest -m hypothesis --hypothesis-profile=long

# With the lowest versions of what is depended on; they warn of what has changed since.
.PHONY: test-lowest
test-lowest:
	PIP_CONSTRAINT=tests/lowest.txt $(MAKE) venv VENV=.venv-lowest
	.venv-lowest/bin/python -m pytest --numprocesses $(WORKERS) -W ignore::DeprecationWarning tests/record

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

# Small mistakes, one after another in a copy of the tree: do the tests notice? WORDS="writer cursor" chooses.
.PHONY: planted-bugs
planted-bugs: venv
	$(BIN)/python -m tests.planted $(if $(RECORD),--record) $(WORDS)

# The wheel of this machine, tested where nothing else is installed; releases build all others (.github/workflows).
wheel:
	rm -rf build/wheel && mkdir -p build/wheel
	$(PYTHON) -m venv build/wheel/clean
	build/wheel/clean/bin/python -m pip --quiet --disable-pip-version-check wheel --no-deps --wheel-dir build/wheel .
	build/wheel/clean/bin/python -m pip --quiet --disable-pip-version-check install build/wheel/dashcam-*.whl
	build/wheel/clean/bin/python tests/installed.py
	@ls build/wheel/*.whl

COMPOSE := docker compose
COMPOSE_ELK := docker compose --file docker-compose.yml --file docker-compose.elk.yml

# Passwords and keys are made up once; an .env that is there stays as it is.
.env:
	umask 077; while IFS= read -r line; do \
	  case $$line in \
	    ELASTICSEARCH_API_KEY=) echo "$$line";; \
	    *_PASSWORD=|*_KEY=) echo "$$line$$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')";; \
	    *) printf '%s\n' "$$line";; \
	  esac; \
	done < .env.example > $@.new && mv $@.new $@

# A container reads its secrets at its start: the shipper is started again where one of them changed.
secrets: .env
	@changed=$$(sh deploy/compose/secrets.sh); \
	if [ -n "$$changed" ] && [ -n "$$($(COMPOSE) ps --quiet shipper 2>/dev/null)" ]; then $(COMPOSE) restart shipper; fi

up: secrets
	$(COMPOSE) up --build --detach --wait
	@sh deploy/compose/first-request.sh $(COMPOSE)

# The configuration of Elasticsearch and Kibana is mounted, and read by users of theirs.
up-elk: secrets
	umask 077; sed -E 's/^LOG_BACKEND=(local)?$$/LOG_BACKEND=elk/' .env > .env.new && mv .env.new .env
	chmod -R go+rX logging/elk
	$(COMPOSE_ELK) up --build --detach --wait
	$(COMPOSE_ELK) run --rm dashboards
	@sh deploy/compose/first-request.sh $(COMPOSE_ELK)

down:
	$(COMPOSE_ELK) --profile logstash --profile fake-loggly down

# New API keys of Elasticsearch for fluentd and the shipper; those before stay valid until the next rotation.
rotate-keys:
	$(COMPOSE_ELK) run --rm setup setup elk --keys /keys/elasticsearch.env --rotate
	$(COMPOSE_ELK) restart fluentd shipper

# The images alone; IMAGES="cars parts" chooses.
images:
	REVISION=$$(git rev-parse --short HEAD 2>/dev/null || echo unknown) \
	  docker compose --file deploy/compose/images.yml build $(IMAGES)

# Lock files of the images, anew: what they pin is what the indexes hold today.
lock: venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile $(LOCK) --output-file deploy/requirements/tools.txt deploy/requirements/tools.in
	$(BIN)/uv pip compile $(LOCK) --output-file deploy/requirements/shipper.txt --extra loggly --extra elk --extra view pyproject.toml
	$(BIN)/uv pip compile $(LOCK) --output-file deploy/requirements/services.txt --extra flask --extra psycopg2 --extra requests pyproject.toml deploy/requirements/services.in
LOCK := --quiet --upgrade --generate-hashes --python-version 3.13 --no-header --no-annotate

# Builds and starts everything in containers, and breaks it in many ways; needs Docker, or root and Debian to get it.
# SHORT=1 leaves out the ELK file, systemd, and what else starts a second project.
test-containers: venv
	$(BIN)/python -m pytest -m "containers$(if $(SHORT), and not long)" -s tests/containers

clean:
	rm -rf $(VENV) build *.egg-info
