// For x86-64 with AVX2 and FMA; setup.py gives this file its flags.
#if defined(__AVX512F__)
#error "compiled for AVX-512, too: setup.py's flags must come last"
#endif
#define CATCHLIGHT_KERNELS kKernelsAvx2
#define CATCHLIGHT_KERNELS_NAME "avx2"
#include "kernels_of_unit.h"

namespace catchlight {

extern const Kernels kKernelsAvx2Int16 = {"avx2int16", 2, true, read, run_layer<2>, realign, convolve, write};

}  // namespace catchlight
