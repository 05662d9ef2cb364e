// For every processor: whatever vectors its baseline has (SSE2 on x86-64, NEON on aarch64).
#define CATCHLIGHT_KERNELS kKernelsPortable
#define CATCHLIGHT_KERNELS_NAME "portable"
#include "kernels_of_unit.h"
