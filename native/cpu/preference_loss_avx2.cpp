#include "native/cpu/lanes8.h"
#include "native/cpu/preference_loss_sweep.h"

namespace adjudge {

const PreferenceKernels preference_avx2 = preference_table;

}  // namespace adjudge
