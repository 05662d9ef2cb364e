.PHONY: check format test

check:
	ruff format --check .
	ruff check .
	mypy
	lint-imports
	pytest

format:
	ruff format .
	ruff check --fix .

test:
	pytest
