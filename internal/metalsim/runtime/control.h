// control.h: what tests ask of and tell the simulator: violations, counters, faults, configuration. The C functions at the
// end are the interface of the Go file ../control.go.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>

#include "objc.h"

namespace sim {

// Kinds of violation the runtime itself finds; the engine's are named by the engine.
enum class Kind {
  kSelector,      // a selector the class does not have
  kArguments,     // a message with the wrong number of arguments
  kReleased,      // a message to, or a use of, a released object
  kNoPool,        // autoreleased without a pool, or a pool popped wrongly
  kIndex,         // buffer or threadgroup index past 30
  kBounds,        // an offset or a CPU write past a buffer's end
  kLength,        // setBytes above 4 KiB, threadgroup memory not a multiple of 16 or above 32 KiB
  kThreads,       // a threadgroup larger than the pipeline allows, or an empty grid
  kState,         // no pipeline, encoding after the end or commit, commit twice, encoder not ended
  kUnbound,       // a dispatch without a buffer the kernel takes
  kHazard,        // dispatches of a concurrent encoder touch the same bytes without a barrier
  kEncoders,      // encoders of one queue touch the same bytes in a way that Metal does not track
  kQueues,        // command buffers of two queues touch the same bytes, and nothing orders them
  kInFlight,      // the CPU wrote what a committed command buffer touches
  kForeign,       // objects of two devices
  kArgument,      // a nil or out-of-range argument Metal rejects
};

struct Place {  // where in a kernel, if anywhere
  std::string kernel, file;
  uint32_t line = 0, column = 0;
};

void violation(Kind k, std::string message);
void violation_named(const char *kind, std::string message, const Place &place);

struct Traffic {
  uint64_t read = 0, written = 0, unique_read = 0, unique_written = 0;
};
struct KernelCounters {
  uint64_t dispatches = 0, threadgroups = 0, threads = 0, barriers = 0, simd_operations = 0;
  Traffic bytes;
  double seconds = 0;
};

// One executed dispatch, for tests that want them one by one.
struct DispatchRecord {
  std::string kernel;       // the function's name
  uint64_t stage = 0;       // dispatches between two barriers have the same; counted since the last reset
  uint64_t threadgroups = 0, threads = 0, memory = 0;  // threads and bytes of threadgroup memory of one threadgroup
  uint64_t bytes = 0;       // of buffers, each once
  uint64_t slots = 0;
  double in_flight = 0;
};
void record_dispatch(DispatchRecord d);
// A command buffer was committed or has completed, in the order in which that happened.
struct EventRecord {
  uint64_t command_buffer = 0;  // counted since the process began
  bool completed = false;
};
void record_event(EventRecord e);
// What a dispatch of a kernel in threadgroups of so many threads takes by a test's word, in seconds; 0 if it gave none.
double time_of(const std::string &kernel, uint64_t threads);
// Dispatches from here on are not of the same stage as earlier ones.
void next_stage();

struct Counters {
  std::atomic<uint64_t> messages{0};
  std::atomic<uint64_t> command_buffers{0}, commits{0}, waits{0}, encoders{0}, dispatches{0}, barriers{0};
  std::atomic<uint64_t> buffers{0}, libraries{0}, pipelines{0};
};
Counters &counters();
// What executing dispatches added, by kernel name and by buffer label ("setBytes" for those).
void count_kernel(const std::string &kernel, const KernelCounters &k);
void count_label(const std::string &label, const Traffic &t);

// Fault injection: the n-th call of a kind fails.
enum class Fault { kBuffer, kLibrary, kFunction, kPipeline, kQueue, kCommandBuffer, kEncoder, kExecution, kResidency, kCount };
// True when this call is the one to fail; *code is the code given with it.
bool fault(Fault f, int64_t *code = nullptr);

// What Metal leaves open about the end of a command buffer.
enum Finish {
  kCompletesLater,   // some time after -commit
  kCompletesEarly,   // its handlers have run, and all but the client have let go of it, before -commit returns
  kNamesAnother,     // handlers get another object than the client has, as from a layer in between
};

// Makers of GPUs: the kind decides a device's name, families, SIMD-groups, and which pipelines its driver can build.
enum class GPU { kApple, kParavirtual, kIntel, kAMD, kCount };

struct Config {
  std::atomic<int> os{15};          // macOS version: decides which selectors and language versions exist
  std::atomic<int> family{9};       // Apple GPU family: 7 M1, 8 M2, 9 M3
  std::atomic<GPU> gpu{GPU::kApple};
  std::atomic<int> width{0};        // threads of a SIMD-group that pipelines report; 0: what the GPU has
  std::atomic<bool> lacking{false};  // driver_lacks has something to say
  std::atomic<int> devices{1};      // how many MTLCopyAllDevices returns
  std::atomic<int> mode{2};         // metalsim_mode of libraries compiled from now on
  std::atomic<bool> coverage{false};
  std::atomic<bool> execute{true};  // false: command buffers complete without running their dispatches
  std::atomic<uint64_t> seed{0};    // order of threadgroups, and of dispatches between barriers
  std::atomic<uint64_t> memory{16ull << 30};  // recommendedMaxWorkingSetSize; allocations beyond it fail
  std::atomic<uint64_t> buffer{9ull << 30};   // maxBufferLength
  std::atomic<int> finish{0};  // a Finish
  std::atomic<int> lost{0};  // MTLCommandBufferError of a device that is gone for good; 0: it is there
};
Config &config();
// Whether the setting "lacks" names this selector: no object has it then.
bool driver_lacks(const std::string &selector);

}  // namespace sim
