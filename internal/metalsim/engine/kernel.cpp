// kernel.cpp: metalsim_specialise: from a library's IR to loaded code.
#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <sstream>

#include "dispatch.h"
#include "library.h"
#include "process.h"

namespace metalsim {

Code::~Code() {
  if (handle) dlclose(handle);
}

namespace {

// Kernels call into this library: its symbols must be visible to what is loaded later, whoever loaded it how.
void make_global() {
  static const bool once = [] {
    Dl_info info;
    if (dladdr((const void *)&make_global, &info)) dlopen(info.dli_fname, RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD);
    return true;
  }();
  (void)once;
}

// Everything of a KernelModule but its IR, for the cache.
std::string serialise(const KernelModule &k) {
  std::ostringstream s;
  s << "memory " << k.threadgroup_memory << ' ' << k.synchronises << '\n';
  for (auto &v : k.variables) s << "variable " << v.offset << ' ' << v.size << ' ' << v.name << '\n';
  for (auto &t : k.sites) s << "site " << t.line << ' ' << t.column << ' ' << t.size << ' ' << t.align << ' ' << (int)t.space << ' ' << t.read << ' ' << t.write << ' ' << t.atomic << ' ' << t.file << '\n';
  for (auto &b : k.blocks) {
    s << "block " << b.key << '\n';
    for (auto &l : b.lines) s << "line " << l.second << ' ' << l.first << '\n';
  }
  s << "end\n";
  return s.str();
}

bool deserialise(const std::string &text, KernelModule &k) {
  std::istringstream in(text);
  std::string l, word;
  while (std::getline(in, l)) {
    std::istringstream f(l);
    f >> word;
    auto rest = [&] {
      std::string r;
      std::getline(f >> std::ws, r);
      return r;
    };
    if (word == "end") return true;
    if (word == "memory") f >> k.threadgroup_memory >> k.synchronises;
    if (word == "variable") {
      ThreadgroupVariable v;
      f >> v.offset >> v.size;
      v.name = rest();
      k.variables.push_back(v);
    }
    if (word == "site") {
      Site s;
      int space;
      f >> s.line >> s.column >> s.size >> s.align >> space >> s.read >> s.write >> s.atomic;
      s.space = (uint8_t)space;
      s.file = rest();
      k.sites.push_back(s);
    }
    if (word == "block") f >> k.blocks.emplace_back().key;
    if (word == "line" && !k.blocks.empty()) {
      int n;
      f >> n;
      k.blocks.back().lines.push_back({rest(), n});
    }
  }
  return false;
}

bool constant_values(metalsim_library *l, const std::string &function, const metalsim_constant_value *values, size_t count, std::map<int, ConstantValue> &out, std::string &error) {
  const metalsim_constant *all, *used;
  size_t n = metalsim_constants(l, nullptr, &all), used_count = metalsim_constants(l, function.c_str(), &used);
  for (size_t i = 0; i < count; i++) {
    for (size_t k = 0; k < n; k++) {
      const metalsim_constant &c = all[k];
      if (values[i].name ? std::strcmp(values[i].name, c.name) != 0 : values[i].index != c.index) continue;
      if (values[i].data_type && c.data_type && values[i].data_type != c.data_type) {
        error = "type mismatch for function constant '" + std::string(c.name) + "' (index " + std::to_string(c.index) + "): declared " + c.type + ", given MTLDataType " + std::to_string(values[i].data_type);
        return false;
      }
      auto *bytes = (const uint8_t *)values[i].value;
      out[(int)c.index] = {true, std::vector<uint8_t>(bytes, bytes + c.size)};
    }
  }
  for (size_t k = 0; k < used_count; k++)
    if (used[k].required && !out.count((int)used[k].index)) {
      error = "function '" + function + "' needs a value for function constant '" + used[k].name + "' (index " + std::to_string(used[k].index) + ")";
      return false;
    }
  // What the kernel does not use must not make another kernel of it.
  for (auto it = out.begin(); it != out.end();) {
    bool in = false;
    for (size_t k = 0; k < used_count; k++) in |= (int)used[k].index == it->first;
    it = in ? std::next(it) : out.erase(it);
  }
  return true;
}

// The library must be a file of its own for each kernel object: two loads of one path are one library.
bool load(metalsim_kernel &k, const std::string &path, int number, std::string &error) {
  make_global();
  std::string copy = temporary(".so");
  if (link(path.c_str(), copy.c_str()) != 0) {
    error = "metalsim: cannot link " + path;
    return false;
  }
  k.code.handle = dlopen(copy.c_str(), RTLD_NOW | RTLD_LOCAL);
  const char *why = k.code.handle ? nullptr : dlerror();
  unlink(copy.c_str());
  if (!k.code.handle) {
    error = std::string("metalsim: ") + (why ? why : "dlopen failed");
    return false;
  }
  std::string n = std::to_string(number);
  k.code.entry = (void (*)())dlsym(k.code.handle, ("msl_entry_" + n).c_str());
  k.code.covered = (unsigned char *)dlsym(k.code.handle, "msl_covered");
  k.code.work = (uint64_t *)dlsym(k.code.handle, "msl_work");
  auto reflect = (void (*)(msl_argument *, unsigned *))dlsym(k.code.handle, ("msl_reflect_" + n).c_str());
  if (!k.code.entry || !reflect) {
    error = "metalsim: the compiled kernel lacks its entry";
    return false;
  }
  const Entry &e = k.library->compiled.entries[(size_t)number];
  std::vector<msl_argument> list(e.parameters.size() + 1);
  unsigned max_threads = METALSIM_MAX_THREADS_PER_THREADGROUP;
  reflect(list.data(), &max_threads);
  for (size_t i = 0; i < e.parameters.size(); i++) {
    const msl_argument &a = list[i];
    if (a.kind != 'b' && a.kind != 't') continue;
    metalsim_arg arg = {};
    arg.name = e.parameters[i].name.c_str();
    arg.kind = a.kind == 'b' ? METALSIM_ARG_BUFFER : METALSIM_ARG_THREADGROUP;
    arg.index = a.index;
    arg.element_size = a.element_size;
    arg.element_alignment = a.element_alignment;
    arg.read_only = a.read_only;
    arg.is_constant_space = a.constant_space;
    arg.is_reference = a.reference;
    arg.active = a.active;
    k.args.push_back(arg);
  }
  k.info = {k.name.c_str(), std::min(max_threads, (unsigned)METALSIM_MAX_THREADS_PER_THREADGROUP), METALSIM_SIMD_WIDTH, k.module.threadgroup_memory, (uint32_t)k.args.size(), k.args.data(), k.module.synchronises};
  return true;
}

// The smallest aligned access decides how finely races are told apart.
uint32_t granule(const KernelModule &m, bool threadgroup) {
  uint32_t g = 4;
  for (auto &s : m.sites) {
    if (!s.read && !s.write) continue;   // a barrier
    if (threadgroup ? s.space == 1 || s.space == 2 : s.space == 3) continue;
    uint32_t n = s.size ? std::min(s.size, s.align) : s.align;
    while (n < g) g /= 2;
  }
  return g;
}

}  // namespace

}  // namespace metalsim

using namespace metalsim;

extern "C" {

metalsim_kernel *metalsim_specialise(metalsim_library *l, const char *function, const metalsim_constant_value *values, size_t count, char **error) {
  auto fail = [&](const std::string &message) -> metalsim_kernel * {
    if (error) *error = strdup(message.c_str());
    return nullptr;
  };
  if (error) *error = nullptr;
  int number = -1;
  for (size_t i = 0; i < l->compiled.entries.size(); i++)
    if (l->compiled.entries[i].name == function) number = (int)i;
  if (number < 0) return fail(std::string("no kernel function named '") + function + "' in the library");
  std::map<int, ConstantValue> constants;
  std::string message;
  if (!constant_values(l, function, values, count, constants, message)) return fail(message);

  auto k = std::make_unique<metalsim_kernel>();
  k->library = l;
  k->name = function;
  k->mode = l->options.mode;
  k->coverage = l->options.coverage;
  Hash h;
  h.add(l->compiled.key);
  h.add((uint64_t)number);
  for (auto &[index, value] : constants) {
    h.add((uint64_t)index);
    h.add(std::string_view((const char *)value.bytes.data(), value.bytes.size()));
  }
  std::string stem = cache_path(h.hex()), text;
  if (access((stem + ".so").c_str(), R_OK) != 0 || !read_file(stem + ".kernel", text) || !deserialise(text, k->module)) {
    k->module = l->compiled.module->build(number, constants, k->mode, k->coverage, l->options.fast_math);
    if (!generate(k->module, l->options, stem, message)) return fail("metalsim: the compiler's back end failed for kernel '" + k->name + "': " + message);
    k->module.ir.clear();
    write_file(stem + ".kernel", serialise(k->module));
  }
  if (k->module.threadgroup_memory > METALSIM_MAX_THREADGROUP_MEMORY)
    return fail("Threadgroup memory size (" + std::to_string(k->module.threadgroup_memory) + ") exceeds the maximum threadgroup memory allowed (32768)");
  if (!load(*k, stem + ".so", number, message)) return fail(message);
  for (auto &s : k->module.sites) k->accesses.push_back({s.size, s.align, s.read, s.write, s.atomic});
  k->granule[kDevice] = granule(k->module, false);
  k->granule[kThreadgroup] = granule(k->module, true);
  metalsim_library_retain(l);
  if (k->code.covered) watch_coverage(k.get());
  return k.release();
}

void metalsim_kernel_retain(metalsim_kernel *k) { k->references++; }
void metalsim_kernel_release(metalsim_kernel *k) {
  if (!k || --k->references) return;
  metalsim_library *l = k->library;
  if (k->code.covered) unwatch_coverage(k);
  delete k;
  metalsim_library_release(l);
}
const metalsim_kernel_info *metalsim_kernel_describe(const metalsim_kernel *k) { return &k->info; }
}
