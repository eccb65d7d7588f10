// hazards.cpp: conflicts between the dispatches of one concurrent encoder.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "dispatch.h"

struct metalsim_hazards {
  struct Use {
    uint64_t begin, end;
    uint32_t dispatch;
    std::string kernel;
    bool write;
  };
  std::map<uint64_t, std::vector<Use>> buffers;   // by identity, in order of addition
  std::vector<metalsim_hazard> found;
  std::vector<std::unique_ptr<std::string>> names;
  uint32_t dispatches = 0;
};

namespace {

const metalsim_range *overlap(const metalsim_hazards::Use &u, const std::vector<metalsim_range> &ranges) {
  auto it = std::lower_bound(ranges.begin(), ranges.end(), u.begin, [](const metalsim_range &r, uint64_t b) { return r.end <= b; });
  return it != ranges.end() && it->begin < u.end ? &*it : nullptr;
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
    uint64_t identity = r->identities[i];
    auto it = identity ? h->buffers.find(identity) : h->buffers.end();
    if (it == h->buffers.end()) continue;
    for (auto &u : it->second)
      for (int write = 0; write < 2; write++) {
        if (!u.write && !write) continue;
        const metalsim_range *o = overlap(u, r->ranges[i][write]);
        if (!o || seen[{identity, u.dispatch}]) continue;
        seen[{identity, u.dispatch}] = true;
        h->found.push_back({keep(r->kernel), keep(u.kernel), identity, h->dispatches, u.dispatch, std::max(u.begin, o->begin), std::min(u.end, o->end), u.write, (uint8_t)write});
      }
  }
  for (uint32_t i = 0; i < METALSIM_MAX_BUFFERS; i++)
    for (int write = 0; write < 2 && r->identities[i]; write++)
      for (auto &range : r->ranges[i][write]) h->buffers[r->identities[i]].push_back({range.begin, range.end, h->dispatches, r->kernel, write != 0});
  h->dispatches++;
  *out = h->found.data();
  return h->found.size();
}
}
