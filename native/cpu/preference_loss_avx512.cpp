#include "native/cpu/lanes16.h"
#include "native/cpu/preference_loss_sweep.h"

namespace adjudge {

const PreferenceKernels preference_avx512 = preference_table;

}  // namespace adjudge
