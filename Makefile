# make run    install, start a region, train, deploy, call, chat, prove it; leaves the region running
# make stop   stop the region
# make test   set up and pass the whole test suite       make test-all   with the long runs
# make lock   write the lock files anew from requirements/*.in
.PHONY: run stop test test-all check lock clean
SHELL := /bin/bash
PYTHON ?= python3.11
# Parts whose tests share nothing and wait for nothing (decision 0049), on two processors at once.
PARTS_AT_ONCE := tests/wire tests/sim
AT_ONCE := -n 2 --dist loadfile

run:
	@tools/setup core "$(PYTHON)"
	@.venv/bin/bastide quickstart

stop:
	@.venv/bin/bastide down

test:
	@tools/setup dev "$(PYTHON)"
	@./check
	@.venv/bin/python -m pytest $(AT_ONCE) -m "not slow" $(PARTS_AT_ONCE)
	@.venv/bin/python -m pytest -m "not slow" $(addprefix --ignore ,tests/tidy tests/unit $(PARTS_AT_ONCE))

test-all:
	@tools/setup dev "$(PYTHON)"
	@./check
	@.venv/bin/python -m pytest $(AT_ONCE) $(PARTS_AT_ONCE)
	@.venv/bin/python -m pytest $(addprefix --ignore ,tests/tidy tests/unit $(PARTS_AT_ONCE))
	@.venv/bin/python -m pytest -m slow tests/unit
	@.venv/bin/python -m pytest --database postgresql tests/service

check:
	@./check

lock:
	@for list in requirements/*.in src/bastide/environments/locks/*.in src/bastide/cli/tour/*.in; do \
	  echo "$$list"; \
	  .venv/bin/uv pip compile --python-version 3.11 --generate-hashes --allow-unsafe -q "$$list" -o "$${list%.in}.txt" || exit 1; \
	done

clean:
	rm -rf .venv .cache
