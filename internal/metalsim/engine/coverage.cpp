// coverage.cpp: which source lines have run, over all kernels of the process.
#include <map>
#include <mutex>
#include <set>
#include <tuple>

#include "dispatch.h"
#include "library.h"

namespace metalsim {

namespace {

struct Line {
  bool hit = false;
};
using Key = std::tuple<uint64_t, std::string, int>;
struct Block {
  bool hit = false;
  std::vector<std::pair<std::string, int>> lines;
};
using BlockKey = std::pair<uint64_t, uint64_t>;   // source and CoverageBlock::key

std::mutex mutex;
std::map<Key, Line> lines;
std::map<BlockKey, Block> blocks;
std::vector<metalsim_line> result;
std::set<std::string> names;
std::set<const metalsim_kernel *> kernels;

void record(const metalsim_kernel &k) {
  uint64_t source = k.library->source_hash;
  const std::vector<CoverageBlock> &list = k.module.blocks;
  for (size_t i = 0; i < list.size(); i++) {
    Block &block = blocks[{source, list[i].key}];
    block.hit |= k.code.covered[i] != 0;
    block.lines = list[i].lines;
    if (!k.code.covered[i]) continue;
    for (auto &l : list[i].lines) lines[{source, l.first, l.second}].hit = true;
  }
}

}  // namespace

void register_lines(uint64_t source, const std::vector<std::pair<std::string, int>> &list) {
  std::lock_guard<std::mutex> lock(mutex);
  for (auto &l : list) lines[{source, l.first, l.second}];
}

void watch_coverage(const metalsim_kernel *k) {
  std::lock_guard<std::mutex> lock(mutex);
  kernels.insert(k);
}

void unwatch_coverage(const metalsim_kernel *k) {
  std::lock_guard<std::mutex> lock(mutex);
  record(*k);
  kernels.erase(k);
}

}  // namespace metalsim

using namespace metalsim;

extern "C" size_t metalsim_coverage(const metalsim_line **out) {
  std::lock_guard<std::mutex> lock(mutex);
  for (auto *k : kernels) record(*k);
  std::set<Key> partial;
  for (auto &[key, block] : blocks)
    if (!block.hit)
      for (auto &l : block.lines) partial.insert({key.first, l.first, l.second});
  result.clear();
  for (auto &[key, line] : lines) {
    auto &[source, file, number] = key;
    result.push_back({names.insert(file).first->c_str(), source, (uint32_t)number, line.hit, (uint8_t)(line.hit && partial.count(key))});
  }
  *out = result.data();
  return result.size();
}
