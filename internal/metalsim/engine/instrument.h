// instrument.h: rewriting of IR instructions, one line at a time.
#pragma once
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "module.h"

namespace metalsim {

// End of the type that starts at `at` in IR text.
size_t type_end(std::string_view s, size_t at);
// Replaces whole "@name" tokens.
std::string replace_names(std::string_view text, const std::map<std::string_view, std::string> &names);

class Instrumenter {
 public:
  Instrumenter(const Module &module, KernelModule &kernel, metalsim_mode mode, bool coverage, bool finite, bool counting = false)
      : module_(module), kernel_(kernel), mode_(mode), coverage_(coverage), finite_(finite), counting_(counting) {}

  // The body of a function, after its "define" line. `user`: not one of the runtime's own functions.
  std::string function(std::string_view body, bool user);
  // A "define" line.
  std::string head(std::string line) const { return finish(std::move(line)); }
  std::string globals() const;
  std::string declarations(const std::function<bool(std::string_view)> &known) const;
  std::string metadata(std::string_view text) const;

 private:
  const Module &module_;
  KernelModule &kernel_;
  metalsim_mode mode_;
  bool coverage_;
  bool finite_;      // no NaN is meant to be written
  bool multiplies_ = false;   // watch_wrapping() has used its intrinsic
  bool counting_;    // second pass of mode COUNT: barriers are numbered already
  int fresh_ = 0;
  std::set<std::string> used_;                       // runtime functions called
  std::set<std::string> nan_types_;                  // of values held against NaN
  std::unordered_set<std::string_view> private_;     // values that point into the thread's own memory
  struct Array {
    std::string_view name;
    uint64_t size;
  };
  std::unordered_set<std::string_view> widened_;         // vectors of three elements as vectors of four
  std::unordered_map<std::string_view, Array> arrays_;   // the thread's arrays, and pointers into them
  std::unordered_set<std::string_view> pointers_;        // its pointer variables

  struct Pointer {
    size_t begin, end;       // "ptr addrspace(1) %x"
    std::string_view value;
    int space;
  };
  bool pointer_at(std::string_view line, size_t at, Pointer &p) const;
  bool checked(const Pointer &p) const;
  int site(std::string_view line, const Site *access = nullptr);
  std::string line(std::string_view l);
  std::string access(std::string_view line, const Pointer &p, std::string_view type, bool read, bool write, bool atomic);
  std::string memory_intrinsic(std::string_view line);
  std::string division(std::string_view line, size_t type);
  std::string shift(std::string_view line, size_t type);
  std::string pointer_comparison(std::string_view line, size_t pointers);
  std::string pointer_difference(std::string_view line, size_t pointer);
  std::string generic(const Pointer &p, std::string &value);
  std::string undefined_if_any(const std::string &lanes, const std::string &type, int kind, std::string_view line);
  std::string nan_check(std::string_view type, std::string_view value, bool write, std::string_view line);
  std::string hand_out_arrays(std::string_view line, size_t from);
  std::string uninitialised(const std::vector<std::string_view> &lines, size_t end);
  void note_private(std::string_view line);
  std::string finish(std::string line) const;
  std::string block_coverage(const std::vector<std::string_view> &lines, size_t first, size_t last);
};

}  // namespace metalsim
