// Quantised weights, from the blocks of a file into tiles of 16 rows, for every backend that keeps
// them so. Nothing here allocates, and nothing fails: arguments are checked by the caller.
//
//   tile         head | block of 32 | block of 32 | ... as long as a block of the format | head | ...
//   head         16 d | 16 m | s of groups 0 ... 3 | ... | n of groups 0 ... 3 | ...
//   block of 32  low bits of the codes | high bits
//
// An element is d s * integer + m n, where the integer is code - zero, or an entry of the format's
// codebook. d and m are halves, but d of MXFP4 a byte; s and n are bytes, four in a word for each row.
// Formats leave out what they lack. A plane of p bits is p vectors of 64 bytes, a word of four bytes for
// each row: bits f p ... f p + p - 1 of byte e of vector v belong to element 4 (f p + v) + e. Codes of 2,
// 4 and 8 bits have one plane, others a second one of one bit or two.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Formats by their GGUF ids.
typedef enum {
  WEIGHT_Q4_0 = 2,
  WEIGHT_Q4_1 = 3,
  WEIGHT_Q5_0 = 6,
  WEIGHT_Q5_1 = 7,
  WEIGHT_Q8_0 = 8,
  WEIGHT_Q2_K = 10,
  WEIGHT_Q3_K = 11,
  WEIGHT_Q4_K = 12,
  WEIGHT_Q5_K = 13,
  WEIGHT_Q6_K = 14,
  WEIGHT_IQ4_NL = 20,
  WEIGHT_IQ4_XS = 23,
  WEIGHT_MXFP4 = 39,
} weight_type;

enum { WEIGHT_TILE_ROWS = 16 };

// Bytes of a matrix in tiles; the last tile is filled up with rows of zeros.
size_t weight_tiles_bytes(weight_type type, size_t rows, size_t width);

// Brings rows that lie one after the other in a file's layout into tiles. More than one thread works on
// it where that pays.
void weight_tiles_write(weight_type type, const void *source, size_t rows, size_t width, int threads,
                        void *tiles);

// Decodes one row of a matrix in tiles.
void weight_tiles_read(weight_type type, const void *tiles, size_t width, size_t row, float *target);

// Decodes `count` elements, a whole number of blocks, in a file's layout.
void weight_decode(weight_type type, const void *source, size_t count, float *target);
