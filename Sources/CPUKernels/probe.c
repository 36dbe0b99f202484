// The probes of a level, spread over the pool: one chunk a task.
#include "kernels.h"

typedef struct {
  cpu_range range;
  const void *arguments;
} probe_job;

static void run_chunk(void *context, size_t chunk) {
  const probe_job *job = context;
  job->range(job->arguments, chunk, chunk + 1);
}

void cpu_probe(const cpu_kernels *kernels, cpu_pool *pool, cpu_probe_kind kind,
               const cpu_probe_arguments *a) {
  probe_job job = {kernels->probe_read, a};
  if (kind == CPU_PROBE_FLOAT) job.range = kernels->probe_float;
  if (kind == CPU_PROBE_INT8) job.range = kernels->probe_int8;
  cpu_pool_run(pool, a->chunks, true, run_chunk, &job);
}

size_t cpu_probe_work(const cpu_kernels *kernels, cpu_probe_kind kind,
                      const cpu_probe_arguments *a) {
  switch (kind) {
  case CPU_PROBE_READ: return a->chunks * a->chunk_bytes;
  case CPU_PROBE_FLOAT: return a->chunks * a->rounds * kernels->probe_operations;
  case CPU_PROBE_INT8: return a->chunks * a->rounds * kernels->probe_operations * 4;
  }
  return 0;
}
