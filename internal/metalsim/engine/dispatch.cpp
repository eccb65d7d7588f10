// dispatch.cpp: metalsim_dispatch and its report.
#include "dispatch.h"

#include <algorithm>
#include <chrono>
#include <mutex>


namespace metalsim {

namespace {

// Mistakes in the call itself. False: the kernel cannot run.
bool check_call() {
  const metalsim_kernel &k = *the.kernel;
  const metalsim_dispatch_args &a = *the.args;
  uint64_t threads = 1;
  bool ok = true;
  for (int d = 0; d < 3; d++) {
    uint64_t n = a.threads_per_threadgroup[d];
    threads = n > 1 << 20 ? 1 << 20 : std::min<uint64_t>(threads * n, 1 << 20);
    if (!n) ok = false;
    if (a.grid[d] > 0xffffffffu) ok = false;
  }
  if (!ok) {
    violation(METALSIM_THREAD_COUNT, ~0u, "the grid or the threadgroup has a size that is zero or too large");
  } else if (threads > k.info.max_total_threads_per_threadgroup) {
    violation(METALSIM_THREAD_COUNT, ~0u, "threads per threadgroup (" + std::to_string(threads) + ") must be at most " + std::to_string(k.info.max_total_threads_per_threadgroup));
    ok = false;
  }
  uint64_t memory = k.info.static_threadgroup_memory_length;
  for (uint32_t n : a.threadgroup_memory) memory += n;
  if (memory > METALSIM_MAX_THREADGROUP_MEMORY) {
    violation(METALSIM_THREADGROUP_MEMORY, ~0u, std::to_string(memory) + " bytes of threadgroup memory (" + std::to_string(k.info.static_threadgroup_memory_length) + " of them in the kernel) exceed 32768");
    ok = false;
  }
  for (auto &arg : k.args) {
    if (!arg.active) continue;
    std::string name = std::string("'") + arg.name + "' at index " + std::to_string(arg.index);
    if (arg.kind == METALSIM_ARG_THREADGROUP) {
      uint32_t n = a.threadgroup_memory[arg.index];
      if (!n) violation(METALSIM_THREADGROUP_MEMORY, ~0u - 1 - arg.index, "no length is set for threadgroup argument " + name), ok = false;
      else if (n % 16) violation(METALSIM_THREADGROUP_MEMORY, ~0u - 1 - arg.index, "length " + std::to_string(n) + " of threadgroup argument " + name + " is not a multiple of 16");
      continue;
    }
    const metalsim_binding &b = a.buffers[arg.index];
    if (!b.contents) continue;   // an access is a violation, an unused argument is not
    if (b.offset > b.length) violation(METALSIM_BAD_OFFSET, ~0u - 1 - arg.index, "offset " + std::to_string(b.offset) + " of argument " + name + " lies past the buffer's " + std::to_string(b.length) + " bytes");
    else if (b.offset % arg.element_alignment) violation(METALSIM_BAD_OFFSET, ~0u - 1 - arg.index, "offset " + std::to_string(b.offset) + " of argument " + name + " is not a multiple of " + std::to_string(arg.element_alignment));
    else if (arg.is_reference && b.length - b.offset < arg.element_size) violation(METALSIM_OUT_OF_BOUNDS, ~0u - 1 - arg.index, std::to_string(b.length - b.offset) + " bytes are bound for argument " + name + ", which needs " + std::to_string(arg.element_size));
  }
  return ok;
}

void place_threads(const uint32_t group[3], const uint32_t size[3]) {
  const metalsim_dispatch_args &a = *the.args;
  msl_group.threads_per_threadgroup = {size[0], size[1], size[2]};
  the.thread_count = size[0] * size[1] * size[2];
  msl_group.simdgroups = (the.thread_count + 31) / 32;
  unsigned i = 0;
  for (unsigned z = 0; z < size[2]; z++)
    for (unsigned y = 0; y < size[1]; y++)
      for (unsigned x = 0; x < size[0]; x++, i++) {
        msl_thread &t = threads[i].self;
        t.position_in_threadgroup = {x, y, z};
        t.threadgroup_position = {group[0], group[1], group[2]};
        t.position_in_grid = {group[0] * (unsigned)a.threads_per_threadgroup[0] + x, group[1] * (unsigned)a.threads_per_threadgroup[1] + y, group[2] * (unsigned)a.threads_per_threadgroup[2] + z};
        t.index_in_threadgroup = i;
        t.lane = i & 31;
        t.simdgroup = i / 32;
      }
}

void run_grid() {
  const metalsim_dispatch_args &a = *the.args;
  uint32_t threads_in_grid[3], per[3];
  for (int d = 0; d < 3; d++) {
    per[d] = (uint32_t)a.threads_per_threadgroup[d];
    the.groups[d] = (uint32_t)(a.grid_is_threads ? (a.grid[d] + per[d] - 1) / per[d] : a.grid[d]);
    threads_in_grid[d] = (uint32_t)(a.grid_is_threads ? a.grid[d] : a.grid[d] * per[d]);
  }
  msl_group.threads_per_grid = {threads_in_grid[0], threads_in_grid[1], threads_in_grid[2]};
  msl_group.threadgroups_per_grid = {the.groups[0], the.groups[1], the.groups[2]};
  msl_group.dispatch_threads_per_threadgroup = {per[0], per[1], per[2]};
  msl_group.dispatch_simdgroups = (per[0] * per[1] * per[2] + 31) / 32;
  uint64_t count = (uint64_t)the.groups[0] * the.groups[1] * the.groups[2];
  the.order.clear();
  if (a.seed && count > 1) {
    the.order.resize(count);
    for (uint64_t i = 0; i < count; i++) the.order[i] = (uint32_t)i;
    uint64_t r = a.seed;
    for (uint64_t i = count; i > 1; i--) {
      r = r * 6364136223846793005ull + 1442695040888963407ull;
      std::swap(the.order[i - 1], the.order[(r >> 33) % i]);
    }
  }
  for (uint64_t n = 0; n < count; n++) {
    uint32_t i = the.order.empty() ? (uint32_t)n : the.order[n];
    uint32_t group[3] = {i % the.groups[0], i / the.groups[0] % the.groups[1], i / the.groups[0] / the.groups[1]}, size[3];
    for (int d = 0; d < 3; d++) size[d] = std::min(per[d], threads_in_grid[d] - group[d] * per[d]);
    place_threads(group, size);
    begin_threadgroup_memory();
    run_threadgroup();
    the.report->counters.threads += the.thread_count;
    the.serial++;
  }
  the.report->counters.threadgroups = count;
}

}  // namespace

}  // namespace metalsim

using namespace metalsim;

extern "C" {

metalsim_report *metalsim_dispatch(metalsim_kernel *k, const metalsim_dispatch_args *args) {
  static std::mutex mutex;
  std::lock_guard<std::mutex> lock(mutex);
  auto *report = new metalsim_report;
  report->kernel = k->name;
  the.kernel = k;
  the.args = args;
  the.report = report;
  the.checking = k->mode == METALSIM_MODE_CHECK;
  the.current = nullptr;
  the.order.clear();
  the.groups[0] = the.groups[1] = the.groups[2] = 1;
  if (the.serial < 1 || the.serial > 0x7fffffff) {
    the.serial = 1;
    forget_shadows();
  }
  the.serial_base = the.serial;
  auto start = std::chrono::steady_clock::now();
  if (check_call()) {
    uint64_t *work = k->code.work;
    if (work) std::fill(work, work + 3, 0);
    prepare_memory();
    run_grid();
    finish_memory();
    if (work) {
      report->counters.slots = work[0];
      report->counters.in_flight = work[1] ? (double)work[2] / (double)work[1] : 0;
    }
  }
  report->counters.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  finish_report();
  return report;
}

void metalsim_report_release(metalsim_report *r) { delete r; }
size_t metalsim_report_violations(const metalsim_report *r, const metalsim_violation **out) {
  *out = r->violations.data();
  return r->violations.size();
}
const char *metalsim_report_text(const metalsim_report *r) { return r->text.c_str(); }
const metalsim_counters *metalsim_report_counters(const metalsim_report *r) { return &r->counters; }
size_t metalsim_report_ranges(const metalsim_report *r, uint32_t buffer, int write, const metalsim_range **out) {
  if (buffer >= METALSIM_MAX_BUFFERS) return 0;
  *out = r->ranges[buffer][write != 0].data();
  return r->ranges[buffer][write != 0].size();
}
}
