// library.h: a compiled library behind its C handle.
#pragma once
#include <atomic>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "frontend.h"

struct metalsim_library {
  std::atomic<int> references{1};
  metalsim::Options options;
  metalsim::Compiled compiled;
  uint64_t source_hash;
  std::mutex mutex;
  std::map<std::string, std::vector<metalsim_constant>> constants;   // per function; "" for all
};

namespace metalsim {

struct DataType {
  uint32_t code, size;   // MTLDataType and bytes of one value
};
// Of a function constant's type; code 0 for a type that Metal does not take.
DataType data_type(const std::string &name);

// coverage.cpp
void register_lines(uint64_t source_hash, const std::vector<std::pair<std::string, int>> &lines);
// A kernel's flags are read when someone asks, and for the last time before they go.
void watch_coverage(const metalsim_kernel *);
void unwatch_coverage(const metalsim_kernel *);

}  // namespace metalsim
