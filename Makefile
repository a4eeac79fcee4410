# Everything starts from a machine that has python3 (3.11 or newer) and a package index. `make` lists the targets.
PYTHON  ?= python3
VENV    ?= .venv
BIN     := $(VENV)/bin
STAMP   := $(VENV)/.installed
RUN     ?= runs/demo
HOST    ?= 127.0.0.1
PORT    ?= 8000
SUPPORT_PORT ?= 8080
SERVE   ?= 1
THREADS ?= 1
# What is installed. Ray is no part of all: make test EXTRAS=all,ray runs the tests of --engine ray, too.
EXTRAS  ?= all
TESTS   ?= tests
WORKERS ?= auto
DATA    := $(if $(METIER_TEST_DATA),$(METIER_TEST_DATA),$(if $(wildcard ../shared/data/README.md),$(abspath ../shared/data)))
QUIET   := OMP_NUM_THREADS=$(THREADS) TOKENIZERS_PARALLELISM=false METIER_TEST_DATA="$(DATA)"

# What make demo asks: known in other words, going on from it, with a slot, out of a document, unknown.
ASKED   := "I can't find my debit card anywhere" "And when does the new card arrive?" \
	"The money I sent has not arrived, it was QT-123456" "on 3 March" \
	"How long does the shop's bank have to answer a dispute?" "Do you sell train tickets?" \
	"转账一般几天到账？" "签约后几天内可以撤销贷款合同？" "今天天气怎么样？"
# Both in the background, so that the shell hears of a stop at once and passes it on; Ctrl+C reaches all three itself.
CONSOLES = $(BIN)/metier monitor run $(RUN)-monitor/monitor.toml --host $(HOST) --port $(PORT) & monitor=$$!; \
	$(BIN)/metier support serve $(RUN)-support/support.toml --host $(HOST) --port $(SUPPORT_PORT) & support=$$!; \
	trap 'kill $$monitor $$support 2>/dev/null' TERM; trap : INT; \
	wait; wait

.PHONY: help demo install lint types test soak fuzz bench docs wheel clean
.DEFAULT_GOAL := help

help:
	@echo "make demo     install, train two heads, replay a month of headlines, ask a bank's bot, serve both (SERVE=0: do not)"
	@echo "make test     lint, type-check and run all tests"
	@echo "make soak     kill loops and the 60-second load"
	@echo "make fuzz     the drawn tests (Hypothesis) with new examples, many more of them"
	@echo "make bench    the measurements of benchmarks/ (NAME=one of them)"
	@echo "make docs     build the documentation into site/"
	@echo "make wheel    build the wheel into dist/"

install: $(STAMP)

# Reinstalled when a dependency changed, not before. pip is quiet: the first install takes minutes, PyTorch most of them.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Metier needs Python 3.11 or newer; name one: make PYTHON=python3.12"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
		|| { echo "This Python makes no virtual environments (Debian: apt install python3-venv)."; exit 2; }
	@echo "Installing Metier and what it needs into $(VENV); the first time takes some minutes ..."
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-input -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@

demo: $(STAMP)
	@rm -rf $(RUN) $(RUN).partial $(RUN)-monitor $(RUN)-support
	@$(BIN)/metier train metier/sample/headlines.csv --label sentiment --label topic --out $(RUN)
	@$(BIN)/metier monitor init $(RUN)-monitor --run $(RUN) --sample
	@$(BIN)/metier monitor replay $(RUN)-monitor/month.jsonl --settings $(RUN)-monitor/monitor.toml
	@$(BIN)/metier support init $(RUN)-support --sample
	@$(BIN)/metier support build $(RUN)-support/support.toml
	@$(BIN)/metier support chat $(RUN)-support/support.toml $(ASKED)
	@if [ "$(SERVE)" != 0 ]; then $(CONSOLES); fi

lint: $(STAMP)
	@$(BIN)/ruff check -q .
	@$(BIN)/ruff format -q --check .

types: $(STAMP)
	@$(BIN)/mypy --no-error-summary

test: lint types
	@$(QUIET) $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(TESTS)

soak: $(STAMP)
	@$(QUIET) $(BIN)/python -m pytest -m soak --timeout 3600 $(TESTS)

fuzz: $(STAMP)
	@HYPOTHESIS_PROFILE=fuzz $(QUIET) $(BIN)/python -m pytest -m "hypothesis and not soak" $(TESTS)

bench: $(STAMP)
	@METIER_TEST_DATA="$(DATA)" $(BIN)/python -m benchmarks $(NAME)

docs: $(STAMP)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "site/index.html"

wheel: $(STAMP)
	@$(BIN)/python -m pip wheel -qq --disable-pip-version-check --no-deps -w dist .
	@ls dist/*.whl

clean:
	rm -rf build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis
