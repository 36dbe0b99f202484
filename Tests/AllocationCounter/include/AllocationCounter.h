// How often the calling thread asks for memory: what Swift, its library and this program's C allocate. What
// drivers allocate is theirs.
#pragma once

// Whether that can be counted here.
int allocations_are_counted(void);

// Starts counting on this thread, from zero.
void start_counting_allocations(void);

// What was counted so far.
long counted_allocations(void);
