// What every kernel file may lean on. The host puts this text before each file when it builds a
// program, so a kernel file neither includes nor repeats it.
//
// Rules of all kernels: OpenCL C 1.2 without extensions, no double, no barrier, no local memory.
// A buffer comes as two arguments, a cl_mem and a byte offset, since many operands share one slab.
// Offsets are multiples of 128, but rows inside a buffer may lie anywhere: vectors are read by
// vload, which asks only for the alignment of an element.

// Storage formats, by their GGUF type ids.
#define F32 0
#define F16 1
#define Q4_1 3
#define Q8_0 8

// Elements of one block of a quantised format.
#define BLOCK 32

// Bytes of one block: Q4_1 is {half d, half m, 16 bytes of nibbles}, Q8_0 {half d, 32 chars}.
#define Q4_1_BYTES 20
#define Q8_0_BYTES 34

// Tokens of one key-value page.
#define PAGE 16

// --- Reductions over one vector -----------------------------------------------------------------

static inline float sum16(float16 v)
{
  float8 a = v.lo + v.hi;
  float4 b = a.lo + a.hi;
  float2 c = b.lo + b.hi;
  return c.x + c.y;
}

static inline float max16(float16 v)
{
  float8 a = fmax(v.lo, v.hi);
  float4 b = fmax(a.lo, a.hi);
  float2 c = fmax(b.lo, b.hi);
  return fmax(c.x, c.y);
}

// --- Blocks of 32 weights -----------------------------------------------------------------------

// The half at an even byte address.
static inline float half_at(global const uchar *bytes)
{
  return vload_half(0, (global const half *)bytes);
}

// The 32 nibbles of a Q4_1 block in order, as floats 0 … 15.
static inline void q4_1_integers(global const uchar *block, float16 *low, float16 *high)
{
  uchar16 nibbles = vload16(0, block + 4);
  *low = convert_float16(nibbles & (uchar16)(15));
  *high = convert_float16(nibbles >> (uchar16)(4));
}

// The 32 signed bytes of a Q8_0 block in order, as floats.
static inline void q8_0_integers(global const uchar *block, float16 *low, float16 *high)
{
  global const char *bytes = (global const char *)(block + 2);
  *low = convert_float16(vload16(0, bytes));
  *high = convert_float16(vload16(1, bytes));
}

// The 32 values of a Q4_1 block: d × nibble + m.
static inline void q4_1_values(global const uchar *block, float16 *low, float16 *high)
{
  float2 dm = vload_half2(0, (global const half *)block);
  q4_1_integers(block, low, high);
  *low = *low * dm.x + dm.y;
  *high = *high * dm.x + dm.y;
}

// The 32 values of a Q8_0 block: d × byte.
static inline void q8_0_values(global const uchar *block, float16 *low, float16 *high)
{
  float d = half_at(block);
  q8_0_integers(block, low, high);
  *low *= d;
  *high *= d;
}
