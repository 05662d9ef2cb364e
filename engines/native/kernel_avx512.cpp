// For x86-64 with AVX-512 F, DQ, BW and VL; setup.py gives this file its flags.
#if defined(__AVX512BF16__)
#error "compiled for AVX-512 BF16, too: setup.py's flags must come last"
#endif
#define CATCHLIGHT_KERNELS kKernelsAvx512
#define CATCHLIGHT_KERNELS_NAME "avx512"
#include "kernels_of_unit.h"
