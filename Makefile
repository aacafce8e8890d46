# Two commands: `make lab` to learn, `make test` to test. Each sets up .venv first; later runs start at once.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1 && echo $$p && break; done)
BIN := .venv/bin
export Q

.PHONY: help lab test check bench ask serve install distributed lint format exercises slides book stamp lock clean

help:
	@echo "make lab            learn: JupyterLab opens on the first notebook"
	@echo "make ask Q=\"...\"    ask the museum a question"
	@echo "make serve          the museum as a web page, on this machine"
	@echo "make test           run all tests"
	@echo "make check          style, and the tests that load no trained model: under 3 minutes"
	@echo "make bench          how fast, beside every peer that is installed: under 15 minutes"
	@echo "make lint           check style;   make format: mend it"
	@echo "make exercises      derive exercises/ anew from solutions/ (what you wrote there is lost)"
	@echo "make distributed    install Ray and Milvus too (chapter 15; part of make test)"
	@echo "make book           the web edition, in build/book/html;   make slides: a page of slides per chapter"
	@echo "make stamp          write the repository's address wherever it is repeated, and the timetable"
	@echo "make lock           lock the three lists of requirements anew from pyproject.toml"

install:
	@test -n "$(PYTHON)" || { echo "error: Python 3.11, 3.12 or 3.13 is needed; install one from https://www.python.org/downloads/" >&2; exit 1; }
	@$(PYTHON) -m rag_lib.setup install

distributed: install # Ray and Milvus: `make lab`, `ask` and `serve` do without
	@$(PYTHON) -m rag_lib.setup install distributed

lab: install
	@$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks/00_start_here.ipynb

test: distributed # two files at a time, one thread each
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

check: lint
	@$(BIN)/python -m pytest tests -m "not model"

bench: install # peers that cannot be had here are named and left out
	-@$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint requirements.txt \
		--constraint requirements-optional.txt --editable ".[bench]"
	@$(BIN)/python -m benchmarks

ask: install
	@$(BIN)/python -m rag_lib ask -- "$$Q"

serve: install
	@$(BIN)/python -m rag_lib serve

lint: install
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

format: install
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

exercises: install
	@$(BIN)/python -m rag_lib.exercises.derive

slides book: install
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint requirements.txt \
		--constraint requirements-optional.txt --editable ".[book]"
	@$(BIN)/python -m rag_lib.classroom.$@

stamp: install
	@$(BIN)/python -m rag_lib.classroom.address && $(BIN)/python -m rag_lib.classroom.timetable

LOCK = env -u UV_FIND_LINKS -u PIP_FIND_LINKS $(BIN)/uv pip compile -q pyproject.toml --universal --python-version 3.11 \
	--no-annotate --generate-hashes --custom-compile-command 'make lock'

BESIDE = --constraints requirements.txt $$(sed -n 's/^\([A-Za-z0-9._-]*\)==.*/--no-emit-package \1/p' requirements.txt)

lock: # the other lists hold what the first does not, in versions that go with it
	@$(LOCK) --extra notebooks --extra serve --extra dev -o requirements.txt
	@$(LOCK) --extra distributed $(BESIDE) -o requirements-distributed.txt
	@$(LOCK) --extra book --extra bench $(BESIDE) -o requirements-optional.txt

clean:
	rm -rf .venv
