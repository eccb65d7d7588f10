// execute.cpp: runs a command buffer's dispatches on the engine, counts, and finds hazards between dispatches.
#include <algorithm>
#include <random>

#include "flight.h"

namespace sim {
namespace {

enum { kInternal = 1, kAccessRevoked = 4, kInvalidResource = 9, kDeviceRemoved = 11 };  // MTLCommandBufferError

uint64_t mix(uint64_t seed, uint64_t n) {  // splitmix64
  uint64_t z = seed + 0x9e3779b97f4a7c15 * (n + 1);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

Traffic traffic(const metalsim_traffic &t) { return {t.read, t.written, t.unique_read, t.unique_written}; }

std::string extent(const Size &s) { return std::to_string(s.width) + "x" + std::to_string(s.height) + "x" + std::to_string(s.depth); }

struct Execution {
  CommandBuffer *cb;
  metalsim_hazards *hazards = nullptr;  // of the current concurrent encoder
  std::vector<const Command *> order;   // of its dispatches since the last barrier
  bool concurrent = false;
  uint64_t serial = 0;
  int64_t stop_after = -1;  // dispatches to run before an injected failure; -1: all
  int64_t ran = 0;

  explicit Execution(CommandBuffer *c) : cb(c) {}
  ~Execution() {
    if (hazards) metalsim_hazards_destroy(hazards);
  }

  bool more() const { return stop_after < 0 || ran < stop_after; }

  // A released buffer among the bindings: the GPU would read memory that is gone.
  bool alive(const Command &c) {
    for (uint32_t i = c.first; i < c.first + c.count; i++) {
      Buffer *b = cb->bound[i].buffer;
      if (b == nullptr || b->magic == Object::kLive) continue;
      violation(Kind::kReleased, "a buffer was released while a command buffer using it was executed");
      return false;
    }
    if (c.pipeline == nullptr || c.pipeline->magic == Object::kLive) return true;
    violation(Kind::kReleased, "a pipeline was released while a command buffer using it was executed");
    return false;
  }

  void run(const Command &c) {
    metalsim_dispatch_args a = {};
    for (uint32_t i = 0; i < c.count; i++) {
      const Bound &b = cb->bound[c.first + i];
      if (b.buffer) a.buffers[i] = {b.buffer->memory, b.length, b.offset, reinterpret_cast<uint64_t>(b.buffer)};
      else if (b.bytes) a.buffers[i] = {const_cast<char *>(b.bytes), b.length, 0, 0};
    }
    std::copy(c.threadgroup.begin(), c.threadgroup.end(), a.threadgroup_memory);
    a.grid[0] = c.grid.width, a.grid[1] = c.grid.height, a.grid[2] = c.grid.depth;
    a.threads_per_threadgroup[0] = c.threads.width, a.threads_per_threadgroup[1] = c.threads.height, a.threads_per_threadgroup[2] = c.threads.depth;
    a.grid_is_threads = c.grid_is_threads;
    if (uint64_t seed = config().seed; seed != 0) a.seed = mix(seed, serial++) | 1;
    counters().dispatches++;
    ran++;
    metalsim_report *r = cb->flight ? cb->flight->dispatch(c, cb->bound.data() + c.first, a) : metalsim_dispatch(c.pipeline->kernel, &a);
    report(c, r);
    if (concurrent) find_hazards(r);
    metalsim_report_release(r);
  }

  void report(const Command &c, const metalsim_report *r) {
    const char *kernel = c.pipeline->info->name;
    const metalsim_violation *v;
    for (size_t n = metalsim_report_violations(r, &v); n > 0; n--, v++)
      violation_named(v->kind_name, v->message, {v->kernel ? v->kernel : kernel, v->file ? v->file : "", v->line, v->column});
    const metalsim_counters &k = *metalsim_report_counters(r);
    count_kernel(kernel, {1, k.threadgroups, k.threads, k.threadgroup_barriers, k.simd_operations, traffic(k.total), k.seconds});
    DispatchRecord d{kernel, 0, k.threadgroups, c.threads.width * c.threads.height * c.threads.depth, c.pipeline->info->static_threadgroup_memory_length, 0, k.slots, k.in_flight};
    for (uint32_t n : c.threadgroup) d.memory += n;
    for (uint32_t i = 0; i < c.count; i++)
      if (cb->bound[c.first + i].buffer) d.bytes += k.buffers[i].unique_read + k.buffers[i].unique_written;
    record_dispatch(std::move(d));
    if (!concurrent) next_stage();
    for (uint32_t i = 0; i < c.count; i++) {
      const Bound &b = cb->bound[c.first + i];
      if (b.buffer || b.bytes) count_label(b.buffer ? b.buffer->label : "setBytes", traffic(k.buffers[i]));
    }
    if (capturing())
      capture_line(std::string(c.grid_is_threads ? "dispatchThreads " : "dispatchThreadgroups ") + kernel + " " + extent(c.grid) + " " + extent(c.threads));
  }

  void find_hazards(const metalsim_report *r) {
    const metalsim_hazard *h;
    for (size_t n = metalsim_hazards_add(hazards, r, &h); n > 0; n--, h++) {
      auto *b = reinterpret_cast<Buffer *>(h->identity);
      violation(Kind::kHazard, std::string(h->earlier_kernel) + (h->earlier_writes ? " writes" : " reads") + " and " + h->kernel +
                                   (h->writes ? " writes" : " reads") + " bytes " + std::to_string(h->begin) + " to " + std::to_string(h->end) +
                                   " of buffer \"" + b->label + "\" in one concurrent encoder without a memory barrier between");
    }
  }

  // Dispatches between two barriers of a concurrent encoder run in an order chosen by the seed.
  void flush() {
    if (uint64_t seed = config().seed; seed != 0 && order.size() > 1) {
      std::mt19937_64 random(mix(seed, serial));
      std::shuffle(order.begin(), order.end(), random);
    }
    for (const Command *c : order)
      if (more()) run(*c);
    order.clear();
  }

  void begin(bool is_concurrent) {
    flush();
    next_stage();
    concurrent = is_concurrent;
    if (cb->flight) cb->flight->begin_encoder();
    if (hazards) metalsim_hazards_destroy(hazards);
    hazards = concurrent ? metalsim_hazards_create() : nullptr;
  }

  void barrier(const Command &c) {
    flush();
    next_stage();
    counters().barriers++;
    if (!concurrent) return;
    if (c.what == Command::kBarrier) return metalsim_hazards_barrier(hazards);
    for (uint32_t i = c.first; i < c.first + c.count; i++)
      metalsim_hazards_barrier_buffer(hazards, reinterpret_cast<uint64_t>(cb->bound[i].buffer));
  }

  bool all() {
    for (const Command &c : cb->commands) {
      if (!more()) break;
      switch (c.what) {
        case Command::kBeginEncoder: begin(c.concurrent); break;
        case Command::kBarrier:
        case Command::kBarrierBuffers: barrier(c); break;
        case Command::kDispatch:
          if (!alive(c)) return false;
          if (concurrent) order.push_back(&c);
          else run(c);
      }
    }
    flush();
    for (const Bound &b : cb->bound)
      if (b.buffer && b.buffer->magic == Object::kLive) b.buffer->check_tail();
    return true;
  }
};

}  // namespace

int64_t CommandBuffer::execute() {
  double start = now();
  Execution x(this);
  int64_t code = 0, failed_with = 0;
  bool injected = fault(Fault::kExecution, &code);
  if (config().lost != 0) {
    failed_with = config().lost;
    x.stop_after = 0;
  } else if (injected) {
    // A failing command buffer has done some of its work, and nobody can tell which.
    failed_with = code;
    if (failed_with == 0) failed_with = kInternal;
    x.stop_after = std::count_if(commands.begin(), commands.end(), [](auto &c) { return c.what == Command::kDispatch; }) / 2;
    if (code == kDeviceRemoved || code == kAccessRevoked) config().lost = static_cast<int>(code);
  }
  if (flight) flight->start();
  if (config().execute && !x.all() && failed_with == 0) failed_with = kInvalidResource;
  if (flight) flight->finish();
  double given = 0;
  for (const Command &c : commands)
    if (c.what == Command::kDispatch && c.pipeline && c.pipeline->magic == Object::kLive) given += time_of(c.pipeline->info->name, c.threads.width * c.threads.height * c.threads.depth);
  std::lock_guard lock(mutex);
  gpu_start = start;
  gpu_end = given > 0 ? start + given : now();
  return failed_with;
}

}  // namespace sim
