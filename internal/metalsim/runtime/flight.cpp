// flight.cpp: hazards between encoders and between queues, and CPU writes between commit and completion.
#include "flight.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <tuple>

namespace sim {
namespace {

constexpr uint64_t kWatched = 4 << 20;  // bytes of the largest buffer that is watched for CPU writes
constexpr size_t kMaxFlights = 256;     // of a client that never waits, earlier ones are forgotten

struct State {
  std::mutex execution;  // held while a dispatch runs or memory is compared; taken before the other
  std::mutex mutex;      // guards what follows, and all flights
  uint64_t time = 0;     // orders commits and completions
  std::vector<std::shared_ptr<Flight>> flights;  // by commit
  std::set<std::string> kernels;                 // their names, which outlive pipelines
};
State &all = *new State;  // worker threads may outlive static objects

bool untracked(const Buffer *b) { return (b->options >> 8 & 3) == 1; }
bool wraps(const Buffer *b) { return b->mapped == 0; }
uint64_t address(const Buffer *b) { return reinterpret_cast<uint64_t>(b->memory); }

// Metal orders encoders of one queue by the buffers they name, where it tracks them.
bool tracked_together(const Touch &a, const Touch &b) { return a.buffer == b.buffer && !untracked(a.buffer); }

template <class Wanted>
const Touch *overlapping(const Pass &p, uint64_t begin, uint64_t end, Wanted wanted) {
  size_t i = std::partition_point(p.reach.begin(), p.reach.end(), [&](uint64_t r) { return r <= begin; }) - p.reach.begin();
  for (; i < p.touches.size() && p.touches[i].begin < end; i++)
    if (p.touches[i].end > begin && wanted(p.touches[i])) return &p.touches[i];
  return nullptr;
}

std::string describe(const Touch &t, uint64_t begin, uint64_t end) {
  return *t.kernel + (t.write ? " writes" : " reads") + " bytes " + std::to_string(begin - address(t.buffer)) + " to " + std::to_string(end - address(t.buffer)) + " of buffer \"" +
         t.buffer->label + "\"";
}

void report(const Touch &earlier, const Touch &later, bool one_queue) {
  uint64_t begin = std::max(earlier.begin, later.begin), end = std::min(earlier.end, later.end);
  std::string text = describe(earlier, begin, end) + " and " + describe(later, begin, end);
  if (!one_queue) return violation(Kind::kQueues, text + ", on two queues, and the second was committed before the first was known to be complete");
  violation(Kind::kEncoders, text + ", in two encoders, and " +
                                 (earlier.buffer == later.buffer ? "the buffer is untracked" : "Metal does not know that the two buffers share memory"));
}

// At most one conflict of two passes is reported.
void conflict(const Pass &earlier, const Pass &later, bool one_queue) {
  if (one_queue && !earlier.loose && !later.loose) return;
  for (const Touch &t : later.touches) {
    const Touch *e = overlapping(earlier, t.begin, t.end, [&](const Touch &e) { return (e.write || t.write) && !(one_queue && tracked_together(e, t)); });
    if (e != nullptr) return report(*e, t, one_queue);
  }
}

// Appends where memory differs from what was expected of it.
void differences(const Watch &w, std::vector<metalsim_range> &out) {
  constexpr uint64_t kBlock = 256;
  const char *now = w.buffer->memory;
  for (uint64_t i = 0; i < w.bytes.size(); i += kBlock) {
    uint64_t n = std::min<uint64_t>(kBlock, w.bytes.size() - i);
    if (std::memcmp(now + i, w.bytes.data() + i, n) == 0) continue;
    for (uint64_t k = i; k < i + n; k++) {
      if (now[k] == w.bytes[k]) continue;
      uint64_t a = address(w.buffer) + k;
      if (!out.empty() && out.back().end == a) out.back().end++;
      else out.push_back({a, a + 1});
    }
  }
}

}  // namespace

void Pass::index() {
  auto key = [](const Touch &t) { return std::tuple(t.buffer, t.kernel, t.write, t.begin); };
  std::sort(touches.begin(), touches.end(), [&](auto &a, auto &b) { return key(a) < key(b); });
  size_t n = 0;
  for (const Touch &t : touches) {
    Touch *last = n ? &touches[n - 1] : nullptr;
    if (last && last->buffer == t.buffer && last->kernel == t.kernel && last->write == t.write && last->end >= t.begin) last->end = std::max(last->end, t.end);
    else touches[n++] = t;
  }
  touches.resize(n);
  std::sort(touches.begin(), touches.end(), [](auto &a, auto &b) { return a.begin < b.begin; });
  reach.clear();
  loose = false;
  for (const Touch &t : touches) {
    reach.push_back(std::max(t.end, reach.empty() ? 0 : reach.back()));
    loose |= untracked(t.buffer) || wraps(t.buffer);
  }
}

std::shared_ptr<Flight> Flight::commit(CommandBuffer *cb) {
  if (!std::all_of(cb->commands.begin(), cb->commands.end(), [](auto &c) { return !c.pipeline || (c.pipeline->magic == Object::kLive && c.pipeline->checked); })) {
    std::lock_guard lock(all.mutex);
    for (auto &f : all.flights) f->watches_.clear();  // nobody will know what this one writes
    return nullptr;
  }
  auto f = std::make_shared<Flight>();
  f->queue_ = cb->queue->worker;
  std::set<const Buffer *> buffers;
  for (const Bound &b : cb->bound)
    if (b.buffer && b.buffer->magic == Object::kLive && !b.buffer->is_private() && b.buffer->length <= kWatched) buffers.insert(b.buffer);
  // A dispatch that writes to them now brings the copies up to date when it has the lock.
  std::lock_guard lock(all.mutex);
  f->committed_ = ++all.time;
  for (const Buffer *b : buffers) f->watches_.push_back({b, std::vector<char>(b->memory, b->memory + b->length), {}});
  all.flights.push_back(f);
  if (all.flights.size() > kMaxFlights && all.flights.front()->executed_) all.flights.erase(all.flights.begin());
  return f;
}

void Flight::start() {
  std::scoped_lock lock(all.execution, all.mutex);
  for (Watch &w : watches_) differences(w, w.changed);
}

void Flight::begin_encoder() {
  std::lock_guard lock(all.mutex);
  passes_.emplace_back();
}

metalsim_report *Flight::dispatch(const Command &c, const Bound *bound, const metalsim_dispatch_args &a) {
  std::lock_guard execution(all.execution);
  metalsim_report *r = metalsim_dispatch(c.pipeline->kernel, &a);
  std::lock_guard lock(all.mutex);
  const std::string *kernel = &*all.kernels.insert(c.pipeline->info->name).first;
  for (uint32_t i = 0; i < c.count; i++) {
    const Buffer *b = bound[i].buffer;
    if (b == nullptr) continue;
    std::vector<Watch *> near;  // of the same memory
    for (auto &f : all.flights)
      for (Watch &w : f->watches_)
        if (address(w.buffer) < address(b) + b->length && address(b) < address(w.buffer) + w.bytes.size()) near.push_back(&w);
    for (int write = 0; write < 2; write++) {
      const metalsim_range *range;
      for (size_t n = metalsim_report_ranges(r, i, write, &range); n > 0; n--, range++) {
        uint64_t begin = address(b) + range->begin, end = address(b) + range->end;
        passes_.back().touches.push_back({begin, end, b, kernel, write != 0});
        for (Watch *w : near) {
          uint64_t from = std::max(begin, address(w->buffer)), to = std::min(end, address(w->buffer) + w->bytes.size());
          if (write && from < to) std::memcpy(w->bytes.data() + (from - address(w->buffer)), reinterpret_cast<char *>(from), to - from);
        }
      }
    }
  }
  return r;
}

void Flight::finish() {
  std::scoped_lock lock(all.execution, all.mutex);
  executed_ = true;
  for (Pass &p : passes_) p.index();
  find_hazards();
  compare();
  prune();
}

void Flight::completed() {
  std::scoped_lock lock(all.execution, all.mutex);
  if (known_ != kNever) return;
  uint64_t now = ++all.time;
  for (auto &f : all.flights) {
    if (f->queue_ != queue_ || f->committed_ > committed_ || f->known_ != kNever || !f->executed_) continue;
    f->compare();
    f->watches_.clear();
    f->known_ = now;
  }
  prune();
}

void Flight::forget(const Buffer *b) {
  std::lock_guard lock(all.mutex);
  for (auto &f : all.flights) {
    std::erase_if(f->watches_, [&](auto &w) { return w.buffer == b; });
    for (Pass &p : f->passes_)
      if (std::erase_if(p.touches, [&](auto &t) { return t.buffer == b; }) != 0 && f->executed_) p.index();
  }
}

// Of two command buffers one is ordered before the other if the client knew of its completion when it committed the other.
void Flight::find_hazards() const {
  for (size_t i = 0; i < passes_.size(); i++) {
    for (auto &f : all.flights)
      if (f.get() != this && f->executed_ && f->known_ > committed_)
        for (const Pass &p : f->passes_) conflict(p, passes_[i], f->queue_ == queue_);
    for (size_t k = 0; k < i; k++) conflict(passes_[k], passes_[i], true);
  }
}

// Reports each watched buffer that the CPU has written to where the dispatches touched it, once.
void Flight::compare() {
  std::erase_if(watches_, [&](Watch &w) {
    std::vector<metalsim_range> changed = w.changed;
    differences(w, changed);
    for (const metalsim_range &c : changed) {
      for (const Pass &p : passes_) {
        const Touch *t = overlapping(p, c.begin, c.end, [](const Touch &) { return true; });
        if (t == nullptr) continue;
        violation(Kind::kInFlight, "the CPU wrote between commit and completion what " + describe(*t, std::max(t->begin, c.begin), std::min(t->end, c.end)));
        return true;
      }
    }
    return false;
  });
}

// Drops what no command buffer can conflict with any more.
void Flight::prune() {
  uint64_t pending = kNever;
  for (auto &f : all.flights)
    if (!f->executed_) pending = std::min(pending, f->committed_);
  std::erase_if(all.flights, [&](auto &f) { return f->executed_ && f->known_ < pending; });
}

}  // namespace sim
