// instrument.h: rewriting of IR instructions, one line at a time.
#pragma once
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_set>

#include "module.h"

namespace metalsim {

// End of the type that starts at `at` in IR text.
size_t type_end(std::string_view s, size_t at);
// Replaces whole "@name" tokens.
std::string replace_names(std::string_view text, const std::map<std::string_view, std::string> &names);

class Instrumenter {
 public:
  Instrumenter(const Module &module, KernelModule &kernel, metalsim_mode mode, bool coverage, bool counting = false)
      : module_(module), kernel_(kernel), mode_(mode), coverage_(coverage), counting_(counting) {}

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
  bool counting_;    // second pass of mode COUNT: barriers are numbered already
  int fresh_ = 0;
  std::set<std::string> used_;                       // runtime functions called
  std::unordered_set<std::string_view> private_;     // values that point into the thread's own memory

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
  void note_private(std::string_view line);
  std::string finish(std::string line) const;
  std::string block_coverage(const std::vector<std::string_view> &lines, size_t first, size_t last);
};

}  // namespace metalsim
