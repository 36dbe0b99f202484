// A step as one launch, for CPU devices: workers take items of a phase until none is left, wait until all are
// done, and go on to the next phase. A phase is what else would be a launch, an item one of its work-items.
//
//   work      phase 0 │ phase 1 │ …        64-bit words: opcode │ width │ height │ lot │ count │ `count` words of
//                                          arguments; there are width × height items, of which `lot` are taken at once
//   meters    set 0 │ set 1                of each phase items that are done, and of each worker's share those that
//                                          are taken
//
// Items lie row after row, and each worker has a share of neighbours: what it reads is mostly what it wrote in the
// phase before. When its share is taken it goes on with the others'.
//
// Steps use the sets in turns, and whoever begins a share clears the other set's meters of it: whoever used
// them has ended. A phase may need any item of those before it, so nobody begins one sooner; but nobody waits
// for an item that no worker has begun: where few workers run, or one after the other, they do it all.
//
// The host puts run_phase before this text: what an opcode does, by the functions of other programs, on
// slabs of memory, for an item: its place, x and y, and width and height. With YIELDS 1 a worker that waits lets
// others have the processor: one of them may be what it waits for.
//
// Global ids: (worker). A worker alone needs no meters. `patience` is how often one looks before it gives
// up, or 0; then results are wrong, but the launch ends.

#ifndef SLAB_COUNT
#define SLAB_COUNT 1
#define SLAB_PARAMETERS global uchar *slab_0
#define SLABS slab_0
static inline void run_phase(
    uint opcode, uint4 item, global const ulong *words, global uchar *const *slabs)
{
  slabs[words[0]][words[1] + item.y * item.z + item.x] = (uchar)opcode;
}
#endif
#ifndef YIELDS
#define YIELDS 0
#endif
// Whether there is one worker.
#ifndef ALONE
#define ALONE 0
#endif

// Numbers between meters: a line of the cache each.
#define METER 16

// What is done between two looks.
static inline void let_others(uint looks)
{
#if YIELDS
  __asm__ volatile("pause");
  if (looks % 128 == 127) {
    // sched_yield, by its number in Linux on x86-64.
    long call = 24;
    __asm__ volatile("syscall" : "+a"(call) : : "rcx", "r11", "memory");
  }
#endif
}

kernel void run_step(
    global const ulong *work, uint phases, global uint *meters, uint set, uint patience, SLAB_PARAMETERS)
{
  global uchar *slabs[SLAB_COUNT] = {SLABS};
  const uint worker = get_global_id(0), workers = ALONE ? 1 : get_global_size(0);
  for (uint p = 0; p < phases; p++) {
    const uint opcode = work[0], width = work[1], height = work[2], items = width * height;
    const uint share = (items + workers - 1) / workers, lot = ALONE ? items : work[3];
    global volatile uint *done = meters + (set * phases + p) * (workers + 1) * METER;
    global volatile uint *idle = meters + ((1 - set) * phases + p) * (workers + 1) * METER;
    uint count = 0;
    for (uint i = 0; i < workers; i++) {
      const uint owner = (worker + i) % workers, begin = owner * share;
      const uint end = min(begin + share, items);
      global volatile uint *taken = done + (owner + 1) * METER;
      for (uint first = begin; first < end; first += lot) {
        if (!ALONE) first = begin + atomic_add(taken, lot);
        if (first >= end) break;
        if (!ALONE && first == begin) {
          idle[(owner + 1) * METER] = 0;
          if (owner == 0) idle[0] = 0;
        }
        const uint last = min(end - first, lot) + first;
        for (uint item = first; item < last; item++)
          run_phase(opcode, (uint4)(item % width, item / width, width, height), work + 5, slabs);
        count += last - first;
      }
    }
    if (!ALONE) {
      mem_fence(CLK_GLOBAL_MEM_FENCE);
      if (count > 0) atomic_add(done, count);
      for (uint looks = 0; *done < items; looks++) {
        if (patience > 0 && looks >= patience) return;
        let_others(looks);
      }
      atomic_add(done, 0);
      mem_fence(CLK_GLOBAL_MEM_FENCE);
    }
    work += 5 + work[4];
  }
}
