# Thin: every target is the script of the same name, which also runs without make.
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast test-orchestrators test-kafka test-s3 test-peers check fix bench soak docs

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make the development environment (.uv/ and .venv/)
	@scripts/setup

demo: ## freeze and kill a real PostgreSQL under load and see its error budget pay (ARGS=--keep)
	@scripts/demo $(ARGS)

test: ## run all tests; as root on Debian install the servers they need (ARGS="-k slo")
	@scripts/test $(ARGS)

test-fast: ## run the tests that take little time
	@scripts/test-fast $(ARGS)

test-orchestrators: ## run exported files in real Airflow and Prefect, in environments of their own
	@scripts/test-orchestrators $(ARGS)

test-kafka: ## read events from a real Kafka broker, which Maven fetches
	@scripts/test-kafka $(ARGS)

test-s3: ## put vaults into a real server of S3, which Go builds
	@scripts/test-s3 $(ARGS)

test-peers: ## compare budgets with those of slo-generator, in an environment of its own (ARGS=20000)
	@scripts/test-peers $(ARGS)

check: ## style, types, floors, marks and documentation
	@scripts/check

fix: ## repair what a machine can
	@scripts/fix

bench: ## measure speed against the limits (ARGS=prober)
	@scripts/bench $(ARGS)

soak: ## run a control plane under faults for a long time (ARGS="--minutes 30")
	@scripts/soak $(ARGS)

docs: ## build the documentation with both builders
	@scripts/docs
