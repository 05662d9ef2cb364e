// For x86-64 with AVX2, FMA and AVX-VNNI; setup.py gives this file the flags of kernel_avx2.cpp. Only the assembler need
// know AVX-VNNI; where it does not, the file is left out.
#if defined(__AVX512F__)
#error "compiled for AVX-512, too: setup.py's flags must come last"
#endif
#define CATCHLIGHT_AVXVNNI
#include "convolution.h"
#include "layer.h"
#include "pixels.h"

namespace catchlight {

extern const Kernels kKernelsAvxVnniInt16 = {"avxvnniint16", 2, true, read, run_layer<2>, realign, convolve, write};

}  // namespace catchlight
