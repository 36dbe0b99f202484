// OpenBLAS, opened at run time: the binary neither needs it to start nor names it when it is linked.
#pragma once

// Row-major and transpose codes of CBLAS.
enum { OPENBLAS_ROW_MAJOR = 101, OPENBLAS_PLAIN = 111, OPENBLAS_TRANSPOSED = 112 };

// The few entry points that are used; all are set.
typedef struct {
  // c (m x n) = alpha * a (m x k) * b (k x n) + beta * c
  void (*sgemm)(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
                const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc);
  void (*set_num_threads)(int threads);
  char *(*get_config)(void);
  char *(*get_corename)(void);
} openblas;

// The library, opened by the first call and set to one thread: who calls it brings the threads.
// NULL where it is not installed or lacks an entry point.
const openblas *openblas_open(void);
