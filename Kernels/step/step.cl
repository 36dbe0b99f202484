// A step of one token as one launch, for CPU devices: workers take items of a phase until none is left,
// wait until all are done, and go on to the next phase. A phase is what else would be a launch.
//
//   work      phase 0 │ phase 1 │ …        64-bit words: opcode │ items │ count │ `count` words of arguments
//   meters    set 0 │ set 1                of each phase items that are taken, and those that are done
//
// Steps use the sets in turns, and whoever begins a phase clears the other set's meters of it: whoever used
// them has ended. A phase may need any item of those before it, so nobody begins one sooner; but nobody waits
// for an item that no worker has begun: where few workers run, or one after the other, they do it all.
//
// The host puts run_phase before this text: what an opcode does, by the functions of other programs, on
// slabs of memory. With YIELDS 1 a worker that waits lets others have the processor: one of them may be
// what it waits for.
//
// Global ids: (worker). A worker alone needs no meters. `patience` is how often one looks before it gives
// up, or 0; then results are wrong, but the launch ends.

#ifndef SLAB_COUNT
#define SLAB_COUNT 1
#define SLAB_PARAMETERS global uchar *slab_0
#define SLABS slab_0
static inline void run_phase(
    uint opcode, size_t item, global const ulong *words, global uchar *const *slabs)
{
  slabs[words[0]][words[1] + item] = (uchar)opcode;
}
#endif
#ifndef YIELDS
#define YIELDS 0
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
  const bool alone = get_global_size(0) == 1;
  for (uint p = 0; p < phases; p++) {
    const uint opcode = work[0], items = work[1];
    global volatile uint *taken = meters + (set * phases + p) * 2 * METER, *done = taken + METER;
    global volatile uint *idle = meters + ((1 - set) * phases + p) * 2 * METER;
    uint count = 0;
    for (uint item = 0;; item++) {
      if (!alone) item = atomic_inc(taken);
      if (item >= items) break;
      if (!alone && item == 0) idle[0] = idle[METER] = 0;
      run_phase(opcode, item, work + 3, slabs);
      count++;
    }
    if (!alone) {
      mem_fence(CLK_GLOBAL_MEM_FENCE);
      if (count > 0) atomic_add(done, count);
      for (uint looks = 0; *done < items; looks++) {
        if (patience > 0 && looks >= patience) return;
        let_others(looks);
      }
      atomic_add(done, 0);
      mem_fence(CLK_GLOBAL_MEM_FENCE);
    }
    work += 3 + work[2];
  }
}
