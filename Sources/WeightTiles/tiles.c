#include "formats.h"

#include <pthread.h>

// Products are exact, and their sum is rounded once either way; the compiler need not know.
#pragma clang fp contract(off)

enum { ROWS = WEIGHT_TILE_ROWS };

INLINE size_t group_count(structure s) { return s.length / s.group; }

INLINE size_t head_bytes(structure s) {
  return ROWS * ((s.has_power_scale ? 1 : 2) + (s.has_minimum ? 2 : 0) +
                 (size_t)(s.has_group_scales + s.has_group_minima) * group_count(s));
}

INLINE size_t block_bytes(structure s) { return 4 * ROWS * (size_t)(s.low_bits + s.high_bits); }

// Bytes of the blocks of 16 rows that lie side by side.
INLINE size_t strip_bytes(structure s) { return head_bytes(s) + s.length / BLOCK * block_bytes(s); }

// ---------------------------------------------------------------------------------- writing

// Writes some bits, from `shift` on, of each of one row's 32 codes: four codes at a time, which stay in
// the bytes that they come in.
INLINE void write_plane(const uint8_t *codes, int bits, int shift, uint8_t *plane, size_t lane) {
  uint32_t mask = 0x01010101u * ((1u << bits) - 1);
  for (int v = 0; v < bits; v++) {
    uint32_t word = 0;
    for (int f = 0; f < 8 / bits; f++)
      word |= (read_32(codes + 4 * (f * bits + v)) >> shift & mask) << (f * bits);
    memcpy(plane + 4 * (ROWS * (size_t)v + lane), &word, sizeof word);
  }
}

// Writes one byte for each group of one row: four groups share a word.
INLINE uint8_t *write_groups(const void *numbers, size_t count, uint8_t *target, size_t lane) {
  for (size_t g = 0; g < count; g += 4)
    memcpy(target + g * ROWS + 4 * lane, (const uint8_t *)numbers + g, 4);
  return target + count * ROWS;
}

// Where a block of 32 of the file ends in bytes that hold element j low and element j + 16 high: tiles
// keep four bits in just that way, so these bytes are moved as they are.
INLINE bool keeps_nibbles(weight_type type) {
  switch (type) {
  case WEIGHT_Q4_0:
  case WEIGHT_Q4_1:
  case WEIGHT_Q5_0:
  case WEIGHT_Q5_1:
  case WEIGHT_IQ4_NL:
  case WEIGHT_MXFP4: return true;
  default: return false;
  }
}

INLINE void move_nibbles(const uint8_t *nibbles, uint8_t *plane, size_t lane) {
  for (size_t v = 0; v < 4; v++) memcpy(plane + 4 * (ROWS * v + lane), nibbles + 4 * v, 4);
}

// Writes the block of one row; its low bits as they are, where the file has them so.
INLINE void write_block(structure s, const parts *block, const uint8_t *nibbles, size_t lane,
                        uint8_t *strip) {
  if (s.has_power_scale) {
    strip[lane] = (uint8_t)block->d;
    strip += ROWS;
  } else {
    memcpy(strip + 2 * lane, &block->d, 2);
    strip += 2 * ROWS;
  }
  if (s.has_minimum) {
    memcpy(strip + 2 * lane, &block->m, 2);
    strip += 2 * ROWS;
  }
  if (s.has_group_scales) strip = write_groups(block->scales, group_count(s), strip, lane);
  if (s.has_group_minima) strip = write_groups(block->minima, group_count(s), strip, lane);
  for (size_t b = 0; b < s.length / BLOCK; b++, strip += block_bytes(s)) {
    const uint8_t *codes = block->codes + b * BLOCK;
    if (nibbles)
      move_nibbles(nibbles, strip, lane);
    else
      write_plane(codes, s.low_bits, 0, strip, lane);
    if (s.high_bits > 0)
      write_plane(codes, s.high_bits, s.low_bits, strip + 4 * ROWS * (size_t)s.low_bits, lane);
  }
}

// What one call brings into tiles, and a thread's share of it.
typedef struct {
  weight_type type;
  const uint8_t *source;
  size_t rows, width;
  uint8_t *tiles;
} job;

typedef struct {
  const job *job;
  size_t first, last; // tiles
} share;

INLINE void write_as(weight_type type, const job *j, size_t first, size_t last) {
  structure s = structure_of(type);
  size_t strips = j->width / s.length, row_bytes = strips * s.bytes;
  uint8_t *strip = j->tiles + first * strips * strip_bytes(s);
  parts block;
  for (size_t tile = first; tile < last; tile++) {
    size_t row = tile * ROWS, count = j->rows - row < ROWS ? j->rows - row : ROWS;
    const uint8_t *source = j->source + row * row_bytes;
    if (count < ROWS) memset(strip, 0, strips * strip_bytes(s));
    for (size_t i = 0; i < strips; i++, strip += strip_bytes(s))
      for (size_t lane = 0; lane < count; lane++) {
        const uint8_t *from = source + lane * row_bytes + i * s.bytes;
        unpack(type, from, &block);
        write_block(s, &block, keeps_nibbles(type) ? from + s.bytes - 16 : NULL, lane, strip);
      }
  }
}

static void *write_share(void *argument) {
  const share *part = argument;
  switch (part->job->type) {
#define CASE(name) \
  case name: write_as(name, part->job, part->first, part->last); break;
    EACH_FORMAT(CASE)
#undef CASE
  }
  return NULL;
}

// A thread is worth its start from some 100 microseconds of work on, and memory feeds few.
enum { WORTH_A_THREAD = 1 << 18, MOST_THREADS = 16 };

void weight_tiles_write(weight_type type, const void *source, size_t rows, size_t width, int threads,
                        void *tiles) {
  job j = {type, source, rows, width, tiles};
  size_t count = (rows + ROWS - 1) / ROWS;
  size_t worth = weight_tiles_bytes(type, rows, width) / WORTH_A_THREAD;
  size_t shares = threads < 1 ? 1 : threads > MOST_THREADS ? MOST_THREADS : (size_t)threads;
  if (shares > worth) shares = worth > 0 ? worth : 1;
  share part[MOST_THREADS];
  pthread_t thread[MOST_THREADS];
  bool runs[MOST_THREADS] = {false};
  for (size_t i = 0; i < shares; i++)
    part[i] = (share){&j, count * i / shares, count * (i + 1) / shares};
  for (size_t i = 1; i < shares; i++)
    runs[i] = pthread_create(&thread[i], NULL, write_share, &part[i]) == 0;
  write_share(&part[0]);
  for (size_t i = 1; i < shares; i++)
    if (runs[i])
      pthread_join(thread[i], NULL);
    else
      write_share(&part[i]);
}

// ---------------------------------------------------------------------------------- sizes and reading

size_t weight_tiles_bytes(weight_type type, size_t rows, size_t width) {
  structure s = structure_of(type);
  return (rows + ROWS - 1) / ROWS * (width / s.length) * strip_bytes(s);
}

// Reads what `write_plane` wrote: one code of one row.
INLINE unsigned code_of(const uint8_t *plane, int bits, size_t j, size_t lane) {
  size_t field = j / 4 / (size_t)bits, vector = j / 4 % (size_t)bits;
  return plane[4 * (ROWS * vector + lane) + j % 4] >> (field * (size_t)bits) & ((1u << bits) - 1);
}

INLINE const uint8_t *read_groups(const uint8_t *from, size_t count, size_t lane, void *numbers) {
  for (size_t g = 0; g < count; g += 4)
    memcpy((uint8_t *)numbers + g, from + g * ROWS + 4 * lane, 4);
  return from + count * ROWS;
}

INLINE void read_as(weight_type type, const uint8_t *strip, size_t width, size_t lane, float *target) {
  structure s = structure_of(type);
  parts block;
  for (size_t k = 0; k < width; k += s.length) {
    block.d = s.has_power_scale ? strip[lane] : read_16(strip + 2 * lane);
    strip += s.has_power_scale ? ROWS : 2 * ROWS;
    if (s.has_minimum) {
      block.m = read_16(strip + 2 * lane);
      strip += 2 * ROWS;
    }
    if (s.has_group_scales) strip = read_groups(strip, group_count(s), lane, block.scales);
    if (s.has_group_minima) strip = read_groups(strip, group_count(s), lane, block.minima);
    for (size_t b = 0; b < s.length / BLOCK; b++, strip += block_bytes(s))
      for (size_t j = 0; j < BLOCK; j++) {
        unsigned code = code_of(strip, s.low_bits, j, lane);
        if (s.high_bits > 0)
          code |= code_of(strip + 4 * ROWS * (size_t)s.low_bits, s.high_bits, j, lane) << s.low_bits;
        block.codes[b * BLOCK + j] = (uint8_t)code;
      }
    for (size_t j = 0; j < s.length; j++) target[k + j] = element(type, &block, j);
  }
}

void weight_tiles_read(weight_type type, const void *tiles, size_t width, size_t row, float *target) {
  size_t tile = row / ROWS, lane = row % ROWS;
  const uint8_t *strip = (const uint8_t *)tiles + tile * weight_tiles_bytes(type, ROWS, width);
  switch (type) {
#define CASE(name) \
  case name: read_as(name, strip, width, lane, target); break;
    EACH_FORMAT(CASE)
#undef CASE
  }
}

INLINE void decode_as(weight_type type, const uint8_t *source, size_t count, float *target) {
  structure s = structure_of(type);
  parts block;
  for (size_t k = 0; k < count; k += s.length, source += s.bytes) {
    unpack(type, source, &block);
    for (size_t j = 0; j < s.length; j++) target[k + j] = element(type, &block, j);
  }
}

void weight_decode(weight_type type, const void *source, size_t count, float *target) {
  switch (type) {
#define CASE(name) \
  case name: decode_as(name, source, count, target); break;
    EACH_FORMAT(CASE)
#undef CASE
  }
}
