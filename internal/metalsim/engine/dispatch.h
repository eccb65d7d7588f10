// dispatch.h: the state of the one dispatch that runs, shared by the scheduler (schedule.cpp), the checks (check.cpp) and
// their reports (report.cpp).
#pragma once
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "engine.h"
#include "fiber.h"
#include "module.h"
#include "msl/abi.h"

namespace metalsim {

// Kinds of memory that barriers order one by one.
enum Memory { kDevice = 0, kThreadgroup = 1 };

enum class ThreadState : uint8_t { ready, simd_operation, simd_barrier, threadgroup_barrier, finished };

struct Thread {
  msl_thread self;      // first: msl_current points here
  void *stack;
  ThreadState state;
  uint8_t operation;    // MSL_OP_...
  uint8_t locals;       // arrays that msl_local knows of
  uint32_t site, mem_flags, size;
  const void *value;    // what it gives to a SIMD-group operation
};

// One byte range that a kernel may reach: a buffer binding or a piece of threadgroup memory.
struct Shadow;
struct Region {
  char *base = nullptr;
  uint64_t length = 0;
  Memory memory = kDevice;
  int buffer = -1, threadgroup = -1;
  std::string name;             // of a threadgroup variable
  bool read_only = false;
  Shadow *shadow = nullptr;     // nullptr: nothing writes here, so nothing can race
  uint64_t shadow_offset = 0;   // of `base` in the shadow
};

// What msl_access needs of a Site, close together.
struct AccessSite {
  uint32_t size, align;
  bool read, write, atomic;
};

// Loaded code of a kernel.
struct Code {
  void *handle = nullptr;
  void (*entry)() = nullptr;
  unsigned char *covered = nullptr;
  uint64_t *work = nullptr;   // msl_work, see work.h
  ~Code();
};

}  // namespace metalsim

struct metalsim_kernel {
  std::atomic<int> references{1};
  metalsim_library *library;
  std::string name;
  metalsim_mode mode;
  bool coverage;
  metalsim_kernel_info info;
  std::vector<metalsim_arg> args;
  std::vector<std::string> arg_names;
  metalsim::KernelModule module;   // sites, variables, blocks
  metalsim::Code code;
  std::vector<metalsim::AccessSite> accesses;   // by site
  uint32_t granule[2];             // bytes that are told apart when looking for races, per kind of memory
};

struct metalsim_report {
  std::string kernel;
  metalsim_counters counters{};
  std::vector<metalsim_violation> violations;
  std::vector<std::unique_ptr<std::string>> strings;   // what violations point to
  std::map<std::tuple<uint32_t, uint32_t, uint32_t>, size_t> known;
  std::string text;
  std::vector<metalsim_range> ranges[METALSIM_MAX_BUFFERS][2];
  uint64_t identities[METALSIM_MAX_BUFFERS] = {}, addresses[METALSIM_MAX_BUFFERS] = {};   // of the buffers bound

  const char *keep(std::string s) {
    strings.push_back(std::make_unique<std::string>(std::move(s)));
    return strings.back()->c_str();
  }
};

namespace metalsim {

struct Dispatch {
  metalsim_kernel *kernel;
  const metalsim_dispatch_args *args;
  metalsim_report *report;
  bool checking;
  uint32_t groups[3];                // threadgroups in the grid
  std::vector<uint32_t> order;       // of threadgroups; empty: ascending
  uint32_t serial_base, serial;      // threadgroups are numbered through all dispatches; base: first of this one
  uint32_t thread_count;             // in the threadgroup that runs
  // Barriers passed: whatever happened before is ordered. Per kind of memory.
  uint32_t group_epoch[2], simd_epoch[32][2];
  Thread *current;
  std::vector<Region> variables, memories;
  Region buffers[METALSIM_MAX_BUFFERS];
};
extern Dispatch the;

// schedule.cpp
void run_threadgroup();
extern Thread threads[kMaxThreads];

// check.cpp
void prepare_memory();
void begin_threadgroup_memory();
void finish_memory();
void forget_shadows();   // before threadgroup numbers start again
std::vector<uint8_t> &threadgroup_arena();

// report.cpp
struct Place {
  uint32_t serial, thread;
};
void violation(metalsim_violation_kind kind, uint32_t site, const std::string &message, const Region *region = nullptr, uint64_t offset = 0, int64_t other_site = -1, Place other = {});
void finish_report();

}  // namespace metalsim
