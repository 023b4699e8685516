# The two commands of the README are `make demo` and `make test`; the rest is for those who work on s2i.
.DEFAULT_GOAL := help
.PHONY: help demo platform platform-down test test-all chaos lint audit lock clean

help:  ## what can be made
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 16

# Three, whatever the machine has: each may have a cluster of its own, and on two cores waits as long as it works.
SIDE_BY_SIDE = -n 3 --dist loadscope

demo:  ## install, start the embedded S3 server, illustrate the sample archive, say where to look
	@infra/install.sh base
	@.venv/bin/s2i demo

platform:  ## install, start all of s2i on this machine under one supervisor, say where it is
	@infra/install.sh base
	@.venv/bin/s2i platform up

platform-down:  ## stop the platform; its data stay
	@.venv/bin/s2i platform down

test:  ## install with the test extras, check style and types, run the suite
	@infra/install.sh test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/pytest $(SIDE_BY_SIDE) -m "not slow and not gpu"

test-all:  ## the suite with its slow tests
	@infra/install.sh test
	.venv/bin/pytest $(SIDE_BY_SIDE) -m "not gpu"

chaos:  ## break things in the middle of jobs: processes, nodes, links, disks, the store
	@infra/install.sh test
	.venv/bin/python -m tests.bench chaos --check

lint:  ## put the code into its format and check it
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .
	.venv/bin/mypy

audit:  ## look for secrets in the repository, and for known faults in what it depends on
	@infra/install.sh test
	.venv/bin/python infra/audit.py

lock:  ## resolve the dependencies again into requirements/
	requirements/lock.sh

clean:  ## stop the demo's store and delete what make demo and make test made
	-.venv/bin/s2i platform down
	-.venv/bin/s2i store down
	rm -rf .venv .s2i .pytest_cache .mypy_cache .ruff_cache .hypothesis
