// For x86-64 with AVX-512 F, DQ, BW, VL and BF16; setup.py gives this file its flags.
#define CATCHLIGHT_KERNELS kKernelsAvx512Bf16
#define CATCHLIGHT_KERNELS_NAME "avx512bf16"
#include "kernels_of_unit.h"
