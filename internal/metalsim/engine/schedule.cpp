// schedule.cpp: runs the threads of one threadgroup. Each is a fiber that runs until it needs the others: at a barrier or
// a SIMD-group operation. Lanes hand over to each other directly; the scheduler comes back when none of a SIMD-group can run.
#include <cstdlib>
#include <cstring>

#include "dispatch.h"

namespace metalsim {

Thread threads[kMaxThreads];
Dispatch the;

namespace {

msl_exchanged exchanged;
void *scheduler_stack;
Thread *chain[32];          // lanes to run, and how far we are
unsigned chain_next, chain_length;
uint64_t random_state;

uint32_t random_number() {
  random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
  return (uint32_t)(random_state >> 33);
}

void hand_over(void **save) {
  the.report->counters.context_switches++;
  if (chain_next < chain_length) {
    Thread *n = chain[chain_next++];
    the.current = n;
    msl_current = &n->self;
    metalsim_switch(save, n->stack);
  } else {
    metalsim_switch(save, scheduler_stack);
  }
}

void fiber_main() {
  the.kernel->code.entry();
  the.current->state = ThreadState::finished;
  hand_over(&the.current->stack);
  std::abort();
}

// Runs every lane of [first, end) that can, once.
void run_ready(unsigned first, unsigned end) {
  unsigned n = end - first, start = 0, step = 1;
  if (the.args->seed) {
    uint32_t r = random_number();
    start = r & 31;
    step = (r >> 5 & 15) * 2 + 1;   // odd: visits all 32
  }
  chain_length = chain_next = 0;
  for (unsigned k = 0; k < 32; k++) {
    unsigned lane = (start + k * step) & 31;
    if (lane < n && threads[first + lane].state == ThreadState::ready) chain[chain_length++] = &threads[first + lane];
  }
  if (!chain_length) return;
  hand_over(&scheduler_stack);
  the.current = nullptr;
}

// All lanes of a SIMD-group have stopped. Carries out one operation that some of them wait at; false if none does.
bool resolve_simd(unsigned group, unsigned first, unsigned end) {
  uint32_t site = 0;
  bool waiting = false, different = false;
  unsigned finished = 0, at_barrier = 0;
  for (unsigned i = first; i < end; i++) {
    Thread &t = threads[i];
    if (t.state == ThreadState::finished) finished++;
    else if (t.state == ThreadState::threadgroup_barrier) at_barrier++;
    else if (!waiting) waiting = true, site = t.site;
    else if (t.site != site) {
      // Diverged lanes: those that are behind in the source go first, so that they can catch up.
      different = true;
      if (t.site < site) site = t.site;
    }
  }
  if (!waiting) return false;
  the.report->counters.simd_operations++;
  uint32_t mask = 0, flags = ~0u;
  Thread *one = nullptr;
  for (unsigned i = first; i < end; i++) {
    Thread &t = threads[i];
    if ((t.state != ThreadState::simd_operation && t.state != ThreadState::simd_barrier) || t.site != site) continue;
    mask |= 1u << (i - first);
    flags &= t.mem_flags;
    if (!one) one = &t;
  }
  bool barrier = one->state == ThreadState::simd_barrier;
  if ((different || finished || at_barrier) && (barrier || one->operation == MSL_OP_CONVERGED) && the.checking) {
    char b[200];
    std::snprintf(b, sizeof b, "%s reached by lanes %08x of %u only: %u have returned, %u wait at a threadgroup_barrier%s", barrier ? "simdgroup_barrier" : "SIMD-group operation", mask, end - first, finished,
                  at_barrier, different ? ", others are at another operation" : "");
    the.current = one;
    violation(METALSIM_SIMD_DIVERGENCE, site, b);
    the.current = nullptr;
  }
  if (barrier) {
    if (flags & 1) the.simd_epoch[group][kDevice]++;
    if (flags & 2) the.simd_epoch[group][kThreadgroup]++;
  } else {
    exchanged.mask = mask;
    exchanged.done = 0;
    if (mask != ~0u) std::memset(exchanged.lane, 0xff, sizeof exchanged.lane);
  }
  for (unsigned i = first; i < end; i++) {
    if (!(mask >> (i - first) & 1)) continue;
    Thread &t = threads[i];
    if (!barrier) {
      if (t.size == 4) std::memcpy(exchanged.lane[i - first], t.value, 4);   // most are
      else std::memcpy(exchanged.lane[i - first], t.value, t.size);
    }
    t.state = ThreadState::ready;
  }
  return true;
}

// All threads are finished or at a threadgroup barrier. False when all are finished.
bool resolve_barrier() {
  unsigned waiting = 0, finished = 0;
  bool different = false;
  uint32_t flags = ~0u;
  Thread *one = nullptr;
  for (unsigned i = 0; i < the.thread_count; i++) {
    Thread &t = threads[i];
    if (t.state == ThreadState::finished) {
      finished++;
      continue;
    }
    waiting++;
    flags &= t.mem_flags;
    if (!one) one = &t;
    else if (t.site != one->site) different = true;
  }
  if (!waiting) return false;
  the.report->counters.threadgroup_barriers++;
  if (finished || different) {
    char b[160];
    if (finished) std::snprintf(b, sizeof b, "%u threads wait at threadgroup_barrier, %u have returned", waiting, finished);
    else std::snprintf(b, sizeof b, "the threads of the threadgroup wait at different threadgroup_barriers");
    the.current = one;
    violation(METALSIM_BARRIER_DIVERGENCE, one->site, b);
    the.current = nullptr;
  }
  if (flags & 1) the.group_epoch[kDevice]++;
  if (flags & 2) the.group_epoch[kThreadgroup]++;
  for (unsigned i = 0; i < the.thread_count; i++)
    if (threads[i].state == ThreadState::threadgroup_barrier) threads[i].state = ThreadState::ready;
  return true;
}

void straight_main() {
  // Nothing synchronises: one stack serves all threads.
  for (unsigned k = 0; k < the.thread_count; k++) {
    unsigned i = the.args->seed ? (k * 37u + (unsigned)random_state) % the.thread_count : k;
    if (the.args->seed && the.thread_count % 37 == 0) i = k;
    the.current = &threads[i];
    the.current->locals = 0;
    msl_current = &threads[i].self;
    the.kernel->code.entry();
  }
  the.current = nullptr;
  metalsim_switch(&threads[0].stack, scheduler_stack);
  std::abort();
}

}  // namespace

void run_threadgroup() {
  random_state = the.args->seed * 0x9e3779b97f4a7c15ull + (the.serial - the.serial_base);
  if (!the.kernel->info.uses_barriers) {
    metalsim_switch(&scheduler_stack, prepare_stack(0, straight_main));
    return;
  }
  for (unsigned i = 0; i < the.thread_count; i++) {
    threads[i].state = ThreadState::ready;
    threads[i].locals = 0;
    threads[i].stack = prepare_stack(i, fiber_main);
  }
  unsigned groups = (the.thread_count + 31) / 32;
  uint8_t order[32];
  for (unsigned i = 0; i < groups; i++) order[i] = (uint8_t)i;
  do {
    if (the.args->seed)
      for (unsigned i = groups; i > 1; i--) std::swap(order[i - 1], order[random_number() % i]);
    for (unsigned k = 0; k < groups; k++) {
      unsigned first = order[k] * 32, end = std::min(first + 32, the.thread_count);
      do run_ready(first, end);
      while (resolve_simd(order[k], first, end));
    }
  } while (resolve_barrier());
}

}  // namespace metalsim

using namespace metalsim;

extern "C" {

METALSIM_API msl_thread *msl_current;
METALSIM_API msl_threadgroup msl_group;
METALSIM_API struct msl_arguments msl_arguments;

METALSIM_API void msl_barrier(unsigned mem_flags, unsigned kind, unsigned site) {
  Thread *t = the.current;
  t->state = kind == MSL_SYNC_SIMDGROUP ? ThreadState::simd_barrier : ThreadState::threadgroup_barrier;
  t->site = site;
  t->mem_flags = mem_flags;
  hand_over(&t->stack);
}

METALSIM_API msl_exchanged *msl_exchange(const void *value, unsigned size, unsigned kind, unsigned site) {
  Thread *t = the.current;
  t->state = ThreadState::simd_operation;
  t->site = site;
  t->operation = (uint8_t)kind;
  t->value = value;
  t->size = size;
  hand_over(&t->stack);
  return &exchanged;
}

// Conversions that clang calls on processors without the instruction.
METALSIM_API __bf16 __truncsfbf2(float f) {
  uint32_t u;
  std::memcpy(&u, &f, 4);
  u = (u & 0x7fffffff) > 0x7f800000 ? u >> 16 | 0x40 : (u + 0x7fff + (u >> 16 & 1)) >> 16;
  uint16_t h = (uint16_t)u;
  __bf16 r;
  std::memcpy(&r, &h, 2);
  return r;
}
}
