// module.h: LLVM IR as text. A library is kept as the unoptimised IR of all its kernels; building a kernel cuts out what it
// reaches, gives function constants their values, numbers the synchronisation points and adds the checks.
//
// Working on the text keeps LLVM's C++ interface, which changes with every release and is a large package, out of the build.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine.h"

namespace metalsim {

// A source position that compiled code can name by number.
struct Site {
  std::string file;
  int line = 0, column = 0;
  // Memory accesses only:
  uint32_t size = 0, align = 1;
  uint8_t space = 0;   // 0 generic, 1 device, 2 constant, 3 threadgroup
  bool read = false, write = false, atomic = false;   // read and write: an atomic read-modify-write
};

struct ThreadgroupVariable {
  std::string name;
  uint32_t offset, size;
};

// Lines that run when a basic block runs. `key` tells blocks of a source apart, and is the same in every specialisation.
struct CoverageBlock {
  uint64_t key = 0;
  std::vector<std::pair<std::string, int>> lines;
};

struct ConstantValue {
  bool is_set = false;
  std::vector<uint8_t> bytes;
};

struct KernelModule {
  std::string ir;
  std::vector<Site> sites;
  std::vector<ThreadgroupVariable> variables;
  std::vector<CoverageBlock> blocks;
  uint32_t threadgroup_memory = 0;
  bool synchronises = false;
};

class Module {
 public:
  explicit Module(std::string text);

  // The IR of kernel entry `number`. Mode COUNT leaves debug locations in: count_accesses() adds the counting to the
  // optimised IR.
  KernelModule build(int number, const std::map<int, ConstantValue> &constants, metalsim_mode mode, bool coverage, bool fast_math) const;

  // Adds the counting code of mode COUNT to optimised IR; sites continue in `kernel`.
  static void count_accesses(KernelModule &kernel, std::string optimised);

  // Indices of the function constants that an entry reaches.
  std::vector<int> constants_of(int number) const;

  // The first function that can call itself: its position and name. Empty name: none.
  Site recursion(std::string &name) const;

  // Where a device, constant or threadgroup pointer becomes a `thread` one, with the name of its space. Clang lets any
  // pointer become generic, which `thread` is here; it needs that for member functions, but Metal refuses the rest.
  std::vector<std::pair<Site, const char *>> conversions() const;

  // Comparisons and negations of vectors in the source that clang carried out in its own way, which is not MSL's.
  std::vector<Site> native_comparisons() const;

  // Every line that has code, for coverage.
  std::vector<std::pair<std::string, int>> lines() const;

 private:
  struct Function {
    size_t begin, end;   // of the text, including "define" and "}"
    std::vector<std::string_view> references;
  };
  std::string text_;
  std::unordered_map<std::string_view, Function> functions_;
  std::unordered_map<std::string_view, std::string_view> globals_, declarations_;   // whole lines
  std::vector<std::string_view> function_order_, global_order_;
  std::vector<std::string_view> heading_, attributes_;
  std::unordered_map<std::string_view, std::string_view> types_;   // name -> definition
  std::unordered_map<int, std::string_view> metadata_;

  struct Layout {
    uint64_t size, align;
  };
  Layout layout(std::string_view type) const;
  Site position(int metadata) const;
  Site position_of_line(std::string_view line) const;
  bool in_source(std::string_view line, Site &site) const;   // not in a function of the headers
  std::vector<std::string_view> reach(std::vector<std::string_view> roots) const;

  friend class Instrumenter;
};

// References "@name" in IR text; quoted names keep their quotes.
std::vector<std::string_view> references(std::string_view text);

}  // namespace metalsim
