// frontend.h: from MSL source to a Module and what the library offers.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "engine.h"
#include "module.h"

namespace metalsim {

struct Parameter {
  std::string name;
  char kind;
};

struct Entry {
  std::string name;
  std::vector<Parameter> parameters;
};

struct Constant {
  std::string name, type;
  int index;
  bool optional;
};

struct Options {
  uint32_t language_version;
  bool fast_math, coverage;
  metalsim_mode mode;
  std::vector<std::pair<std::string, std::string>> macros;
  std::string source_name;
};

struct Compiled {
  std::string key;             // names the library in the cache
  std::vector<Entry> entries;
  std::vector<Constant> constants;
  std::string warnings;
  std::unique_ptr<Module> module;
};

// False: `messages` holds the errors.
bool compile(std::string_view source, const Options &options, Compiled &out, std::string &messages);

// The machine code of a kernel module: path of a shared library. `stem` is the path without suffix in the cache.
bool generate(KernelModule &kernel, const Options &options, const std::string &stem, std::string &messages);

}  // namespace metalsim
