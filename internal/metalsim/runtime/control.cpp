// control.cpp: violations, counters, faults and configuration, and the C functions Go reaches them with.
#include "control.h"

#include "../engine/engine.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <sstream>

namespace sim {
namespace {

struct Violation {
  std::string kind, message;
  Place place;
  uint64_t count;
};

struct FaultPlan {
  uint64_t calls = 0;  // since the last reset
  uint64_t at = 0;     // 0: none
  int64_t code = 0;
};

struct State {
  std::mutex mutex;
  std::vector<Violation> violations;
  std::map<std::string, KernelCounters> kernels;
  std::map<std::string, Traffic> labels;
  std::vector<DispatchRecord> dispatches;
  std::vector<EventRecord> events;
  std::map<std::pair<std::string, uint64_t>, double> times;  // by kernel and threads of a threadgroup
  uint64_t stage = 0;
  FaultPlan faults[static_cast<int>(Fault::kCount)];
  std::set<std::string> lacks;  // selectors
};

State &state() {
  static State *s = new State;
  return *s;
}

constexpr size_t kMaxViolations = 1000;

const char *name(Kind k) {
  switch (k) {
    case Kind::kSelector: return "unknown selector";
    case Kind::kArguments: return "wrong argument count";
    case Kind::kReleased: return "released object";
    case Kind::kNoPool: return "autorelease pool";
    case Kind::kIndex: return "index out of range";
    case Kind::kBounds: return "out of bounds";
    case Kind::kLength: return "length";
    case Kind::kThreads: return "threads";
    case Kind::kState: return "wrong state";
    case Kind::kUnbound: return "missing binding";
    case Kind::kHazard: return "hazard between dispatches";
    case Kind::kEncoders: return "hazard between encoders";
    case Kind::kQueues: return "hazard between queues";
    case Kind::kInFlight: return "write in flight";
    case Kind::kForeign: return "foreign device";
    case Kind::kArgument: return "invalid argument";
  }
  return "?";
}

constexpr const char *kGPUNames[] = {"apple", "paravirtual", "intel", "amd"};
constexpr const char *kFaultNames[] = {"buffer", "library", "function", "pipeline", "queue", "command buffer", "encoder", "execution", "residency set"};

std::string quoted(const std::string &s) {
  std::string out = "\"";
  for (unsigned char c : s) {
    char b[8];
    if (c == '"' || c == '\\') out += {'\\', static_cast<char>(c)};
    else if (c < 0x20) std::snprintf(b, sizeof b, "\\u%04x", c), out += b;
    else out += static_cast<char>(c);
  }
  return out + "\"";
}

std::string field(const char *n, uint64_t v) { return quoted(n) + ":" + std::to_string(v) + ","; }
std::string field(const char *n, const std::string &v) { return quoted(n) + ":" + quoted(v) + ","; }
// A JSON object from fields that each end in a comma.
std::string object(std::string fields) {
  if (!fields.empty()) fields.pop_back();
  return "{" + fields + "}";
}

std::string json(const Traffic &t) {
  return object(field("Read", t.read) + field("Written", t.written) + field("UniqueRead", t.unique_read) + field("UniqueWritten", t.unique_written));
}

bool configure(const char *key, const char *value);

void from_environment() {
  for (auto key : {"os", "family", "devices", "mode", "seed", "coverage", "execute", "memory", "buffer", "gpu", "width", "lacks", "finish"}) {
    std::string variable = "METALSIM_";
    for (const char *p = key; *p; p++) variable += static_cast<char>(*p - 'a' + 'A');
    if (const char *v = std::getenv(variable.c_str()); v != nullptr && *v) {
      if (!configure(key, v)) std::fprintf(stderr, "metalsim: %s=%s is not understood\n", variable.c_str(), v);
    }
  }
}

}  // namespace

void violation_named(const char *kind, std::string message, const Place &place) {
  State &s = state();
  std::lock_guard lock(s.mutex);
  for (auto &v : s.violations) {
    if (v.kind == kind && v.message == message && v.place.line == place.line && v.place.kernel == place.kernel) {
      v.count++;
      return;
    }
  }
  if (s.violations.size() < kMaxViolations) s.violations.push_back({kind, std::move(message), place, 1});
}

void violation(Kind k, std::string message) { violation_named(name(k), std::move(message), {}); }

Counters &counters() {
  static Counters *c = new Counters;
  return *c;
}

Config &config() {
  static Config *c = new Config;
  return *c;
}

bool driver_lacks(const std::string &selector) {
  if (!config().lacking) return false;
  State &s = state();
  std::lock_guard lock(s.mutex);
  return s.lacks.count(selector) != 0;
}

static void add_traffic(Traffic &a, const Traffic &b) {
  a.read += b.read, a.written += b.written, a.unique_read += b.unique_read, a.unique_written += b.unique_written;
}

void count_kernel(const std::string &kernel, const KernelCounters &k) {
  State &s = state();
  std::lock_guard lock(s.mutex);
  KernelCounters &t = s.kernels[kernel];
  t.dispatches += k.dispatches, t.threadgroups += k.threadgroups, t.threads += k.threads;
  t.barriers += k.barriers, t.simd_operations += k.simd_operations, t.seconds += k.seconds;
  add_traffic(t.bytes, k.bytes);
}

void count_label(const std::string &label, const Traffic &t) {
  State &s = state();
  std::lock_guard lock(s.mutex);
  add_traffic(s.labels[label], t);
}

// Enough for any token; a long run keeps its first ones.
constexpr size_t kMaxRecords = 1 << 16;

void record_dispatch(DispatchRecord d) {
  State &s = state();
  std::lock_guard lock(s.mutex);
  if (s.dispatches.size() >= kMaxRecords) return;
  d.stage = s.stage;
  s.dispatches.push_back(std::move(d));
}

void record_event(EventRecord e) {
  State &s = state();
  std::lock_guard lock(s.mutex);
  if (s.events.size() < kMaxRecords) s.events.push_back(e);
}

double time_of(const std::string &kernel, uint64_t threads) {
  State &s = state();
  std::lock_guard lock(s.mutex);
  auto t = s.times.find({kernel, threads});
  return t == s.times.end() ? 0 : t->second;
}

void next_stage() {
  State &s = state();
  std::lock_guard lock(s.mutex);
  s.stage++;
}

bool fault(Fault f, int64_t *code) {
  State &s = state();
  std::lock_guard lock(s.mutex);
  FaultPlan &p = s.faults[static_cast<int>(f)];
  p.calls++;
  if (code) *code = p.code;
  return p.at != 0 && p.calls == p.at;
}

namespace {
bool configure(const char *key, const char *value) {
  Config &c = config();
  auto number = [&](auto &field, uint64_t low, uint64_t high) {
    char *end = nullptr;
    uint64_t v = std::strtoull(value, &end, 0);
    if (end == value || *end || v < low || v > high) return false;
    field = static_cast<std::remove_reference_t<decltype(field.load())>>(v);
    return true;
  };
  std::string_view k = key, v = value;
  if (k == "os") return number(c.os, 12, 26);
  if (k == "family") {  // "7", "apple7"
    if (v.rfind("apple", 0) == 0) value += 5;
    return number(c.family, 5, 9);
  }
  if (k == "devices") return number(c.devices, 0, 4);
  if (k == "seed") return number(c.seed, 0, ~0ull);
  if (k == "gpu") {
    for (int i = 0; i < static_cast<int>(GPU::kCount); i++)
      if (v == kGPUNames[i]) return c.gpu = static_cast<GPU>(i), true;
    return false;
  }
  if (k == "width") return number(c.width, 0, 64);
  if (k == "lacks") {
    State &s = state();
    std::lock_guard lock(s.mutex);
    s.lacks.clear();
    std::istringstream list{std::string(v)};
    for (std::string name; list >> name;) s.lacks.insert(name);
    c.lacking = !s.lacks.empty();
    return true;
  }
  if (k == "memory") return number(c.memory, 1 << 20, 1ull << 40);
  if (k == "buffer") return number(c.buffer, 1 << 12, 1ull << 40);
  if (k == "coverage") return number(c.coverage, 0, 1);
  if (k == "execute") return number(c.execute, 0, 1);
  if (k == "finish") {
    if (v == "later") return c.finish = kCompletesLater, true;
    if (v == "early") return c.finish = kCompletesEarly, true;
    if (v == "another") return c.finish = kNamesAnother, true;
  }
  if (k == "mode") {
    if (v == "plain") return c.mode = 0, true;
    if (v == "count") return c.mode = 1, true;
    if (v == "check") return c.mode = 2, true;
  }
  return false;
}
}  // namespace

static const char *hand_out(std::string text) {
  thread_local std::string last;
  last = std::move(text);
  return last.c_str();
}

}  // namespace sim

using namespace sim;

__attribute__((constructor)) static void read_environment() { from_environment(); }

// Violations since the last reset, as a JSON array. Valid until the thread's next call.
METALSIM_EXPORT const char *metalsim_violations_json() {
  State &s = state();
  std::lock_guard lock(s.mutex);
  std::string out = "[";
  for (auto &v : s.violations) {
    if (out.size() > 1) out += ",";
    out += object(field("Kind", v.kind) + field("Message", v.message) + field("Kernel", v.place.kernel) + field("File", v.place.file) +
                  field("Line", v.place.line) + field("Column", v.place.column) + field("Count", v.count));
  }
  return hand_out(out + "]");
}

// Counters since the last reset, as a JSON object.
METALSIM_EXPORT const char *metalsim_counters_json() {
  Counters &c = counters();
  State &s = state();
  std::lock_guard lock(s.mutex);
  std::string kernels, labels;
  KernelCounters total;
  for (auto &[n, k] : s.kernels) {
    char seconds[32];
    std::snprintf(seconds, sizeof seconds, "%.9f", k.seconds);
    kernels += quoted(n) + ":" +
               object(field("Dispatches", k.dispatches) + field("Threadgroups", k.threadgroups) + field("Threads", k.threads) +
                      field("ThreadgroupBarriers", k.barriers) + field("SIMDOperations", k.simd_operations) + "\"Bytes\":" + json(k.bytes) +
                      ",\"Seconds\":" + seconds + ",") + ",";
    total.threadgroups += k.threadgroups, total.threads += k.threads, total.barriers += k.barriers;
    add_traffic(total.bytes, k.bytes);
  }
  for (auto &[n, t] : s.labels) labels += quoted(n) + ":" + json(t) + ",";
  return hand_out(object(field("Messages", c.messages) + field("CommandBuffers", c.command_buffers) + field("Commits", c.commits) +
                         field("Waits", c.waits) + field("Encoders", c.encoders) + field("Dispatches", c.dispatches) +
                         field("MemoryBarriers", c.barriers) + field("Buffers", c.buffers) + field("Libraries", c.libraries) +
                         field("Pipelines", c.pipelines) + field("Threadgroups", total.threadgroups) + field("Threads", total.threads) +
                         field("ThreadgroupBarriers", total.barriers) + "\"Bytes\":" + json(total.bytes) + "," + "\"Kernels\":" +
                         object(kernels) + ",\"Labels\":" + object(labels) + ","));
}

// The dispatches executed since the last reset, as a JSON array.
METALSIM_EXPORT const char *metalsim_dispatches_json() {
  State &s = state();
  std::lock_guard lock(s.mutex);
  std::string out = "[";
  for (auto &d : s.dispatches) {
    if (out.size() > 1) out += ",";
    char in_flight[32];
    std::snprintf(in_flight, sizeof in_flight, "%.3f", d.in_flight);
    out += object(field("Kernel", d.kernel) + field("Stage", d.stage) + field("Threadgroups", d.threadgroups) + field("Threads", d.threads) +
                  field("Memory", d.memory) + field("Bytes", d.bytes) + field("Slots", d.slots) + "\"InFlight\":" + in_flight + ",");
  }
  return hand_out(out + "]");
}

// Commits and completions since the last reset, in order, as a JSON array.
METALSIM_EXPORT const char *metalsim_events_json() {
  State &s = state();
  std::lock_guard lock(s.mutex);
  std::string out = "[";
  for (auto &e : s.events) {
    if (out.size() > 1) out += ",";
    out += object(field("CommandBuffer", e.command_buffer) + "\"Completed\":" + (e.completed ? "true" : "false") + ",");
  }
  return hand_out(out + "]");
}

// Live objects by class, as a JSON object: what a client that has released everything leaked.
METALSIM_EXPORT const char *metalsim_objects_json() {
  std::vector<std::pair<std::string, int64_t>> live;
  live_objects(live);
  std::string out;
  for (auto &[n, k] : live) out += quoted(n) + ":" + std::to_string(k) + ",";
  return hand_out(object(out));
}

// Every method of the simulated classes: [class, "+" or "-", selector, types, first macOS or 0, messages with the selector].
METALSIM_EXPORT const char *metalsim_methods_json() {
  std::string out = "[";
  auto list = [&](const Class *c, const char *sign) {
    for (auto &m : c->methods) {
      if (m.imp == nullptr) continue;
      if (out.size() > 1) out += ",";
      out += "[" + quoted(c->name) + "," + quoted(sign) + "," + quoted(m.sel->name) + "," + quoted(m.types) + "," + quoted(std::to_string(m.since)) + "," + quoted(std::to_string(m.sel->sent)) + "]";
    }
  };
  for (Class *c : all_classes()) list(c, "-"), list(c->isa, "+");
  return hand_out(out + "]");
}

// Lines of the kernels compiled with coverage, as a JSON array.
METALSIM_EXPORT const char *metalsim_coverage_json() {
  const metalsim_line *l = nullptr;
  std::string out = "[";
  for (size_t n = metalsim_coverage(&l); n > 0; n--, l++) {
    if (out.size() > 1) out += ",";
    out += object(field("File", l->file) + field("Source", l->source_hash) + field("Line", l->line) + field("Hit", l->hit) + field("Partial", l->partial));
  }
  return hand_out(out + "]");
}

METALSIM_EXPORT void metalsim_clear_violations() {
  State &s = state();
  std::lock_guard lock(s.mutex);
  s.violations.clear();
}

// Forgets violations, counters and faults. Configuration and objects stay.
METALSIM_EXPORT void metalsim_reset() {
  State &s = state();
  std::lock_guard lock(s.mutex);
  s.violations.clear();
  s.kernels.clear();
  s.labels.clear();
  s.dispatches.clear();
  s.events.clear();
  s.times.clear();
  s.stage = 0;
  for (auto &f : s.faults) f = {};
  config().lost = 0;
  Counters &c = counters();
  for (auto *a : {&c.messages, &c.command_buffers, &c.commits, &c.waits, &c.encoders, &c.dispatches, &c.barriers, &c.buffers, &c.libraries, &c.pipelines})
    a->store(0);
}

// Makes the n-th call of a kind from now on fail (n = 0: none). code is the MTLCommandBufferError of "execution". 0: ok.
METALSIM_EXPORT int metalsim_fail_at(const char *kind, uint64_t n, int64_t code) {
  State &s = state();
  std::lock_guard lock(s.mutex);
  for (int i = 0; i < static_cast<int>(Fault::kCount); i++) {
    if (std::strcmp(kFaultNames[i], kind) == 0) {
      s.faults[i] = {0, n, code};
      return 0;
    }
  }
  return -1;
}

// Makes each dispatch of a kernel in threadgroups of so many threads take so many nanoseconds of the GPU's clock, executed or
// not, until the next reset.
METALSIM_EXPORT int metalsim_set_time(const char *kernel, uint64_t threads, uint64_t nanoseconds) {
  State &s = state();
  std::lock_guard lock(s.mutex);
  s.times[{kernel, threads}] = 1e-9 * static_cast<double>(nanoseconds);
  return 0;
}

// Sets one configuration value; the keys are the METALSIM_ environment variables in lower case. 0: ok.
METALSIM_EXPORT int metalsim_configure(const char *key, const char *value) { return configure(key, value) ? 0 : -1; }
