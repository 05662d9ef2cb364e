// The kernels, as the unit that includes this is compiled: it defines CATCHLIGHT_KERNELS and CATCHLIGHT_KERNELS_NAME.
#include "convolution.h"
#include "layer.h"
#include "pixels.h"

namespace catchlight {

extern const Kernels CATCHLIGHT_KERNELS = {
    CATCHLIGHT_KERNELS_NAME, kPack, false, read, run_layer<kPack>, realign, convolve, write,
};

}  // namespace catchlight
