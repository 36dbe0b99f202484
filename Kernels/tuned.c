// Embeds the files of tuned/; a new one adds one text and one row here.
#include "Kernels.h"

static const char pocl_epyc[] = {
#embed "tuned/pocl-epyc.txt" suffix(, 0)
};
static const char pocl_xeon[] = {
#embed "tuned/pocl-xeon.txt" suffix(, 0)
};
static const char intel_epyc[] = {
#embed "tuned/intel-epyc.txt" suffix(, 0)
};
static const char intel_xeon[] = {
#embed "tuned/intel-xeon.txt" suffix(, 0)
};
static const char nvidia[] = {
#embed "tuned/nvidia.txt" suffix(, 0)
};

#define TUNING(file, name) {file, name, sizeof name - 1}

static const kernel_program tunings[] = {
    TUNING("pocl-epyc", pocl_epyc),
    TUNING("pocl-xeon", pocl_xeon),
    TUNING("intel-epyc", intel_epyc),
    TUNING("intel-xeon", intel_xeon),
    TUNING("nvidia", nvidia),
};

const kernel_program *kernel_tunings(size_t *count) {
  *count = sizeof tunings / sizeof *tunings;
  return tunings;
}
