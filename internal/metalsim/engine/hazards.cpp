// hazards.cpp: conflicts between the dispatches of one concurrent encoder.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "dispatch.h"

struct metalsim_hazards {
  struct Use {
    uint64_t begin, end;   // addresses
    uint32_t dispatch;
    std::string kernel;
    bool write;
  };
  struct Buffer {
    std::vector<Use> uses;   // in order of addition
    uint64_t low = ~0ull, high = 0;
  };
  std::map<uint64_t, Buffer> buffers;   // by identity
  std::vector<metalsim_hazard> found;
  std::vector<std::unique_ptr<std::string>> names;
  uint32_t dispatches = 0;
};

namespace {

// The first of a binding's ranges that a use overlaps; ranges are from the start of the buffer at `origin`.
const metalsim_range *overlap(const metalsim_hazards::Use &u, const std::vector<metalsim_range> &ranges, uint64_t origin) {
  auto it = std::lower_bound(ranges.begin(), ranges.end(), u.begin, [&](const metalsim_range &r, uint64_t b) { return origin + r.end <= b; });
  return it != ranges.end() && origin + it->begin < u.end ? &*it : nullptr;
}

bool reaches(const metalsim_hazards::Buffer &b, const std::vector<metalsim_range> &ranges, uint64_t origin) {
  return !ranges.empty() && origin + ranges.front().begin < b.high && b.low < origin + ranges.back().end;
}

}  // namespace

extern "C" {

metalsim_hazards *metalsim_hazards_create(void) { return new metalsim_hazards; }
void metalsim_hazards_destroy(metalsim_hazards *h) { delete h; }
void metalsim_hazards_barrier(metalsim_hazards *h) { h->buffers.clear(); }
void metalsim_hazards_barrier_buffer(metalsim_hazards *h, uint64_t identity) { h->buffers.erase(identity); }

size_t metalsim_hazards_add(metalsim_hazards *h, const metalsim_report *r, const metalsim_hazard **out) {
  h->found.clear();
  auto keep = [&](const std::string &s) {
    h->names.push_back(std::make_unique<std::string>(s));
    return h->names.back()->c_str();
  };
  // One hazard per pair of dispatches and buffer is enough.
  std::map<std::pair<uint64_t, uint32_t>, bool> seen;
  for (uint32_t i = 0; i < METALSIM_MAX_BUFFERS; i++) {
    uint64_t identity = r->identities[i], origin = r->addresses[i];
    if (!identity) continue;
    for (auto &[_, known] : h->buffers)
      for (int write = 0; write < 2; write++) {
        if (!reaches(known, r->ranges[i][write], origin)) continue;
        for (auto &u : known.uses) {
          if (!u.write && !write) continue;
          const metalsim_range *o = overlap(u, r->ranges[i][write], origin);
          if (!o || seen[{identity, u.dispatch}]) continue;
          seen[{identity, u.dispatch}] = true;
          h->found.push_back({keep(r->kernel), keep(u.kernel), identity, h->dispatches, u.dispatch, std::max(u.begin, origin + o->begin) - origin, std::min(u.end, origin + o->end) - origin, u.write, (uint8_t)write});
        }
      }
  }
  for (uint32_t i = 0; i < METALSIM_MAX_BUFFERS; i++)
    for (int write = 0; write < 2 && r->identities[i]; write++)
      for (auto &range : r->ranges[i][write]) {
        metalsim_hazards::Buffer &b = h->buffers[r->identities[i]];
        uint64_t begin = r->addresses[i] + range.begin, end = r->addresses[i] + range.end;
        b.low = std::min(b.low, begin), b.high = std::max(b.high, end);
        b.uses.push_back({begin, end, h->dispatches, r->kernel, write != 0});
      }
  h->dispatches++;
  *out = h->found.data();
  return h->found.size();
}
}
