.PHONY: audit check format fuzz lock quiet sanitize test

# What measures no time and needs no second core for itself: two at a time. All other tests, new ones too, run alone.
SIDE_BY_SIDE = tests/train tests/benchmarks/test_benefit.py tests/realtime/examples tests/realtime/test_preview_browser.py

check:
	ruff format --check .
	ruff check .
	mypy
	lint-imports
	$(MAKE) test

format:
	ruff format .
	ruff check --fix .

test:
	pytest -n 2 --dist worksteal $(SIDE_BY_SIDE)
	pytest $(SIDE_BY_SIDE:%=--ignore %)

# What is measured: other subscribers' latency beside 1, 10 and 50 that stall for up to a minute. Four minutes.
quiet:
	pytest -m quiet

# Is anything that CI installs known to be vulnerable? Needs pip-audit, and a network to ask its database by: what could
# not be asked counts as a failure (--strict).
audit:
	pip-audit --strict --disable-pip --no-deps -r .ci/torch.txt
	pip-audit --strict --disable-pip --require-hashes -r .ci/locked.txt

# Keeps the versions that are locked as far as pyproject.toml allows; needs uv. To renew them all: make lock UV=--upgrade
lock:
	uv pip compile $(UV) --quiet --generate-hashes --no-annotate --custom-compile-command "make lock" \
		--python-version 3.11 --extra dev --constraint .ci/torch.txt --no-emit-package torch \
		--output-file .ci/locked.txt pyproject.toml

# Ten minutes of hostile messages against the reader of the wire; needs the extra "fuzz".
fuzz:
	python tests/fuzz/wire.py -max_total_time=600

# The native library's driver under AddressSanitizer, UndefinedBehaviorSanitizer and ThreadSanitizer.
NATIVE = back_projection interface network pool registration weights kernel_portable
ifeq ($(shell uname -m),x86_64)
NATIVE += kernel_avx2 kernel_avxvnni kernel_avx512 kernel_avx512bf16
endif
FLAGS_kernel_avx2 = -mavx2 -mfma -mno-avx512f
FLAGS_kernel_avxvnni = $(FLAGS_kernel_avx2)
FLAGS_kernel_avx512 = -mavx2 -mfma -mavx512f -mavx512dq -mavx512bw -mavx512vl -w
FLAGS_kernel_avx512bf16 = $(FLAGS_kernel_avx512) -mavx512bf16
CXX_SANITIZED = $(CXX) -std=c++17 -O1 -g -pthread -fno-omit-frame-pointer -fno-sanitize-recover=all

build/%/native_driver: $(wildcard engines/native/*.cpp engines/native/*.h) tests/engines/native_driver.cpp tests/engines/native_check.h
	mkdir -p $(@D)
	$(foreach unit,$(NATIVE),$(CXX_SANITIZED) -fsanitize=$* $(FLAGS_$(unit)) -c engines/native/$(unit).cpp -o $(@D)/$(unit).o &&) true
	$(CXX_SANITIZED) -fsanitize=$* tests/engines/native_driver.cpp $(NATIVE:%=$(@D)/%.o) -o $@

sanitize: build/address,undefined/native_driver build/thread/native_driver
	build/address,undefined/native_driver
	build/thread/native_driver
