// library.cpp: metalsim_compile and what a library says of itself.
#include "library.h"

#include <cstdlib>
#include <cstring>

#include "process.h"

namespace metalsim {

DataType data_type(const std::string &name) {
  // Base codes of MTLDataType: scalar, then vectors of 2, 3 and 4.
  static const struct {
    const char *name;
    uint32_t code, size;
  } scalars[] = {{"float", 3, 4},   {"half", 16, 2},    {"int", 29, 4},      {"uint", 33, 4},    {"short", 37, 2},    {"ushort", 41, 2},   {"char", 45, 1},    {"uchar", 49, 1},
                 {"bool", 53, 1},   {"long", 81, 8},    {"ulong", 85, 8},    {"bfloat", 121, 2}, {"int32_t", 29, 4},  {"uint32_t", 33, 4}, {"int16_t", 37, 2}, {"uint16_t", 41, 2},
                 {"int8_t", 45, 1}, {"uint8_t", 49, 1}, {"int64_t", 81, 8}, {"uint64_t", 85, 8}, {"unsigned", 33, 4}, {"unsigned int", 33, 4}, {"size_t", 85, 8}};
  for (auto &s : scalars) {
    size_t n = std::strlen(s.name);
    if (name == s.name) return {s.code, s.size};
    if (name.size() == n + 1 && name.compare(0, n, s.name) == 0 && name[n] >= '2' && name[n] <= '4') {
      uint32_t width = (uint32_t)(name[n] - '0');
      return {s.code + width - 1, s.size * (width == 3 ? 4 : width)};
    }
  }
  return {0, 0};
}

}  // namespace metalsim

using namespace metalsim;

extern "C" {

metalsim_library *metalsim_compile(const char *source, size_t length, const metalsim_compile_options *given, char **error) {
  auto library = std::make_unique<metalsim_library>();
  Options &o = library->options;
  o.language_version = given && given->language_version ? given->language_version : (3u << 16 | 1);
  o.fast_math = !given || given->fast_math;
  o.coverage = given && given->coverage;
  o.mode = given ? (metalsim_mode)given->mode : METALSIM_MODE_CHECK;
  o.source_name = given && given->source_name ? given->source_name : "program_source";
  for (size_t i = 0; given && i < given->macro_count; i++) o.macros.push_back({given->macro_names[i], given->macro_values[i]});
  std::string messages;
  bool ok = compile(std::string_view(source, length), o, library->compiled, messages);
  if (error) *error = messages.empty() ? nullptr : strdup(messages.c_str());
  if (!ok) return nullptr;
  library->source_hash = metalsim_source_hash(source, length);
  if (o.coverage) register_lines(library->source_hash, library->compiled.module->lines());
  return library.release();
}

void metalsim_library_retain(metalsim_library *l) { l->references++; }
void metalsim_library_release(metalsim_library *l) {
  if (l && --l->references == 0) delete l;
}
void metalsim_free(void *p) { std::free(p); }

size_t metalsim_function_count(const metalsim_library *l) { return l->compiled.entries.size(); }
const char *metalsim_function_name(const metalsim_library *l, size_t i) { return i < l->compiled.entries.size() ? l->compiled.entries[i].name.c_str() : nullptr; }

size_t metalsim_constants(const metalsim_library *library, const char *function, const metalsim_constant **out) {
  auto *l = const_cast<metalsim_library *>(library);
  std::lock_guard<std::mutex> lock(l->mutex);
  std::string key = function ? function : "";
  auto [it, fresh] = l->constants.try_emplace(key);
  if (fresh) {
    std::vector<int> used;
    for (size_t i = 0; function && i < l->compiled.entries.size(); i++)
      if (l->compiled.entries[i].name == key) used = l->compiled.module->constants_of((int)i);
    for (auto &c : l->compiled.constants) {
      bool in = !function;
      for (int i : used) in |= i == c.index;
      DataType t = data_type(c.type);
      if (in) it->second.push_back({c.name.c_str(), c.type.c_str(), (uint32_t)c.index, t.code, t.size, (uint8_t)!c.optional});
    }
  }
  *out = it->second.data();
  return it->second.size();
}

uint64_t metalsim_source_hash(const char *source, size_t length) {
  Hash h;
  h.add(std::string_view(source, length));
  return h.value();
}
}
