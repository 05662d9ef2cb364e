.PHONY: check format fuzz sanitize test

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

# Ten minutes of hostile messages against the reader of the wire; needs the extra "fuzz".
fuzz:
	python tests/fuzz/wire.py -max_total_time=600

# The native library's driver under AddressSanitizer, UndefinedBehaviorSanitizer and ThreadSanitizer.
NATIVE = interface network pool weights kernel_portable
ifeq ($(shell uname -m),x86_64)
NATIVE += kernel_avx2 kernel_avx512
endif
FLAGS_kernel_avx2 = -mavx2 -mfma
FLAGS_kernel_avx512 = -mavx2 -mfma -mavx512f -mavx512dq -mavx512bw -mavx512vl -w
CXX_SANITIZED = $(CXX) -std=c++17 -O1 -g -pthread -fno-omit-frame-pointer -fno-sanitize-recover=all

build/%/native_driver: $(wildcard engines/native/*.cpp engines/native/*.h) tests/engines/native_driver.cpp
	mkdir -p $(@D)
	$(foreach unit,$(NATIVE),$(CXX_SANITIZED) -fsanitize=$* $(FLAGS_$(unit)) -c engines/native/$(unit).cpp -o $(@D)/$(unit).o &&) true
	$(CXX_SANITIZED) -fsanitize=$* tests/engines/native_driver.cpp $(NATIVE:%=$(@D)/%.o) -o $@

sanitize: build/address,undefined/native_driver build/thread/native_driver
	build/address,undefined/native_driver
	build/thread/native_driver
