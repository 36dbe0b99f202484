// Embeds the files of tuned/; a new one adds one text and one row here.
#include "Kernels.h"

static const char pocl_zen5[] = {
#embed "tuned/pocl-zen5.txt" suffix(, 0)
};
static const char intel_zen5[] = {
#embed "tuned/intel-zen5.txt" suffix(, 0)
};
static const char nvidia[] = {
#embed "tuned/nvidia.txt" suffix(, 0)
};

#define TUNING(file, name) {file, name, sizeof name - 1}

static const kernel_program tunings[] = {
    TUNING("pocl-zen5", pocl_zen5),
    TUNING("intel-zen5", intel_zen5),
    TUNING("nvidia", nvidia),
};

const kernel_program *kernel_tunings(size_t *count) {
  *count = sizeof tunings / sizeof *tunings;
  return tunings;
}
