// library.cpp: MTLCompileOptions, MTLLibrary, MTLFunction, MTLFunctionConstantValues, MTLComputePipelineState.
#include <cstring>

#include "metal.h"

namespace sim {
namespace {

struct {
  Class *options, *library, *constants, *function, *descriptor, *pipeline;
} classes;

constexpr const char *kLibraryDomain = "MTLLibraryErrorDomain";
constexpr const char *kPipelineDomain = "AGXMetalG13X";  // the driver's own, as on Apple GPUs
enum { kUnsupported = 1, kInternal = 2, kCompileFailure = 3, kCompileWarning = 4, kFunctionNotFound = 5 };  // MTLLibraryError

uint32_t newest_language() {
  int os = config().os;
  return os >= 15 ? 0x30002 : os >= 14 ? 0x30001 : os >= 13 ? 0x30000 : 0x20004;
}

std::string version_text(uint64_t v) { return std::to_string(v >> 16) + "." + std::to_string(v & 0xffff); }

Object *new_library(Device *self, SEL, Object *source, CompileOptions *options, Object **error) {
  const std::string *text = text_of(source, "-[MTLDevice newLibraryWithSource:options:error:]");
  if (text == nullptr) return nullptr;
  if (fault(Fault::kLibrary)) {
    set_error(error, kLibraryDomain, kCompileFailure, "program_source:1:1: error: injected by the simulator\n");
    return nullptr;
  }
  metalsim_compile_options o = {};
  std::vector<const char *> names, values;
  o.fast_math = 1;
  o.language_version = newest_language();
  if (options != nullptr) {
    o.fast_math = options->fast_math;
    if (options->language_version > newest_language()) {
      set_error(error, kLibraryDomain, kUnsupported, "Metal language version " + version_text(options->language_version) + " is not supported on this OS");
      return nullptr;
    }
    if (options->language_version) o.language_version = static_cast<uint32_t>(options->language_version);
    for (auto &[n, v] : options->macros) names.push_back(n.c_str()), values.push_back(v.c_str());
  }
  o.mode = static_cast<uint8_t>(config().mode.load());
  o.coverage = config().coverage;
  o.macro_names = names.data(), o.macro_values = values.data(), o.macro_count = names.size();
  char *messages = nullptr;
  metalsim_library *compiled = metalsim_compile(text->data(), text->size(), &o, &messages);
  if (messages != nullptr) {
    set_error(error, kLibraryDomain, compiled ? kCompileWarning : kCompileFailure, messages);
    metalsim_free(messages);
  }
  if (compiled == nullptr) return nullptr;
  counters().libraries++;
  return new Library(self, compiled, *text);
}

bool has_function(const metalsim_library *l, const std::string &name) {
  for (size_t i = 0; i < metalsim_function_count(l); i++)
    if (name == metalsim_function_name(l, i)) return true;
  return false;
}

Object *new_function(Library *self, SEL, Object *name, ConstantValues *constants, Object **error) {
  const std::string *n = text_of(name, "-[MTLLibrary newFunctionWithName:constantValues:error:]");
  if (n == nullptr) return nullptr;
  if (!has_function(self->library, *n)) {
    set_error(error, kLibraryDomain, kFunctionNotFound, "Function \"" + *n + "\" does not exist");
    return nullptr;
  }
  if (fault(Fault::kFunction)) {
    set_error(error, kLibraryDomain, kInternal, "injected by the simulator");
    return nullptr;
  }
  std::vector<metalsim_constant_value> values;
  if (constants != nullptr)
    for (auto &v : constants->values)
      values.push_back({v.name.empty() ? nullptr : v.name.c_str(), v.index, v.type, v.bytes.data()});
  char *messages = nullptr;
  metalsim_kernel *k = metalsim_specialise(self->library, n->c_str(), values.data(), values.size(), &messages);
  if (messages != nullptr) {
    if (k == nullptr) set_error(error, kLibraryDomain, kCompileFailure, messages);
    metalsim_free(messages);
  }
  return k ? new Function(self, *n, k) : nullptr;
}

void set_constant(ConstantValues *self, const void *value, uint64_t type, std::string name, uint64_t index) {
  static const std::pair<uint32_t, int> sizes[] = {{3, 4}, {16, 2}, {29, 4}, {33, 4}, {37, 2}, {41, 2}, {45, 1}, {49, 1}, {53, 1}, {81, 8}, {85, 8}, {121, 2}};
  for (auto [t, size] : sizes) {
    if (t != type) continue;
    ConstantValues::Value v{std::move(name), static_cast<uint32_t>(index), t, {}};
    std::memcpy(v.bytes.data(), value, size);
    std::erase_if(self->values, [&](auto &o) { return o.name == v.name && o.index == v.index; });
    self->values.push_back(std::move(v));
    return;
  }
  violation(Kind::kArgument, "-[MTLFunctionConstantValues setConstantValue:type:...]: MTLDataType " + std::to_string(type) + " is not supported here");
}

// What the driver says of a kernel that its GPU has no instructions for, as it does when a pipeline is built. Kernels are
// told by their library's source.
const char *refusal(const Library *l) {
  Config &c = config();
  switch (c.gpu) {
    case GPU::kApple:
      if (c.family >= 7) return nullptr;
      [[fallthrough]];
    case GPU::kParavirtual: return l->reduces || l->multiplies ? "Encountered unlowered function call to air.simd_sum.f32" : nullptr;
    default: return l->multiplies ? "SC compilation failure\nThere is a call to an undefined label" : nullptr;
  }
}

uint64_t simd_width() {
  if (int w = config().width; w != 0) return w;
  switch (config().gpu) {
    case GPU::kIntel: return 16;
    case GPU::kAMD: return 64;
    default: return 32;
  }
}

Object *new_pipeline(Device *self, SEL, PipelineDescriptor *d, uint64_t, void *, Object **error) {
  const char *where = "-[MTLDevice newComputePipelineStateWithDescriptor:options:reflection:error:]: ";
  if (d == nullptr || !d->function) {
    violation(Kind::kArgument, where + std::string("no function"));
    return nullptr;
  }
  if (d->function->library->device.get() != self) {
    violation(Kind::kForeign, where + std::string("the function is another device's"));
    return nullptr;
  }
  if (fault(Fault::kPipeline)) {
    set_error(error, kPipelineDomain, 1, "injected by the simulator");
    return nullptr;
  }
  const metalsim_kernel_info *info = metalsim_kernel_describe(d->function->kernel);
  if (info->static_threadgroup_memory_length > kMaxThreadgroupMemory) {
    set_error(error, kPipelineDomain, 3, "Threadgroup memory size (" + std::to_string(info->static_threadgroup_memory_length) + ") exceeds the maximum threadgroup memory allowed (" + std::to_string(kMaxThreadgroupMemory) + ")");
    return nullptr;
  }
  if (d->max_threads > METALSIM_MAX_THREADS_PER_THREADGROUP) {
    set_error(error, kPipelineDomain, 3, "maxTotalThreadsPerThreadgroup " + std::to_string(d->max_threads) + " exceeds " + std::to_string(METALSIM_MAX_THREADS_PER_THREADGROUP));
    return nullptr;
  }
  if (const char *text = refusal(d->function->library.get())) {
    set_error(error, kPipelineDomain, 3, text);
    return nullptr;
  }
  counters().pipelines++;
  return new Pipeline(self, *d);
}

void define_options() {
  Class *c = classes.options = define_class("MTLCompileOptions", root_class());
  c->create = +[]() -> Object * { return new CompileOptions; };
  add(c, "setLanguageVersion:", "vQ", +[](CompileOptions *self, SEL, uint64_t v) { self->language_version = v; });
  add(c, "languageVersion", "Q", +[](CompileOptions *self, SEL) { return self->language_version ? self->language_version : newest_language(); });
  add(c, "setFastMathEnabled:", "vB", +[](CompileOptions *self, SEL, bool v) { self->fast_math = v; });
  add(c, "fastMathEnabled", "B", +[](CompileOptions *self, SEL) { return self->fast_math; });
  add(c, "setMathMode:", "vq", +[](CompileOptions *self, SEL, int64_t v) {
    if (v < 0 || v > 2) violation(Kind::kArgument, "-[MTLCompileOptions setMathMode:]: " + std::to_string(v));
    self->fast_math = v == 2;
  }, 15);
  add(c, "setPreprocessorMacros:", "v@", +[](CompileOptions *self, SEL, Dictionary *d) {
    self->macros.clear();
    if (d == nullptr) return;
    for (auto &[k, v] : d->items) {
      const std::string *key = text_of(k.get(), "-[MTLCompileOptions setPreprocessorMacros:]"), *value = text_of(v.get(), "-[MTLCompileOptions setPreprocessorMacros:]");
      if (key && value) self->macros.emplace_back(*key, *value);
    }
  });
}

void define_functions() {
  Class *c = classes.constants = define_class("MTLFunctionConstantValues", root_class());
  c->create = +[]() -> Object * { return new ConstantValues; };
  add(c, "setConstantValue:type:atIndex:", "v^QQ", +[](ConstantValues *self, SEL, const void *v, uint64_t t, uint64_t i) { set_constant(self, v, t, "", i); });
  add(c, "setConstantValue:type:withName:", "v^Q@", +[](ConstantValues *self, SEL, const void *v, uint64_t t, Object *name) {
    if (const std::string *n = text_of(name, "-[MTLFunctionConstantValues setConstantValue:type:withName:]")) set_constant(self, v, t, *n, 0);
  });
  add(c, "reset", "v", +[](ConstantValues *self, SEL) { self->values.clear(); });

  Class *f = classes.function = define_class("MTLFunction", root_class());
  add_label_methods(f);
  add(f, "name", "@", +[](Function *self, SEL) -> Object * { return autorelease(new String(self->name)); });
  add(f, "device", "@", +[](Function *self, SEL) -> Object * { return self->library->device.get(); });

  Class *l = classes.library = define_class("MTLLibrary", root_class());
  add_label_methods(l);
  add_device_method<Library>(l);
  add(l, "functionNames", "@", +[](Library *self, SEL) -> Object * {
    std::vector<Ref<Object>> names;
    for (size_t i = 0; i < metalsim_function_count(self->library); i++)
      names.push_back(Ref<Object>::adopt(new String(metalsim_function_name(self->library, i))));
    return autorelease(new Array(std::move(names)));
  });
  add(l, "newFunctionWithName:", "@@", +[](Library *self, SEL s, Object *name) { return new_function(self, s, name, nullptr, nullptr); });
  add(l, "newFunctionWithName:constantValues:error:", "@@@^", new_function);
}

void define_pipeline() {
  Class *d = classes.descriptor = define_class("MTLComputePipelineDescriptor", root_class());
  d->create = +[]() -> Object * { return new PipelineDescriptor; };
  add_label_methods(d);
  add(d, "setComputeFunction:", "v@", +[](PipelineDescriptor *self, SEL, Function *f) { self->function = Ref<Function>(f); });
  add(d, "computeFunction", "@", +[](PipelineDescriptor *self, SEL) -> Object * { return self->function.get(); });
  add(d, "setMaxTotalThreadsPerThreadgroup:", "vQ", +[](PipelineDescriptor *self, SEL, uint64_t n) { self->max_threads = n; });
  add(d, "setThreadGroupSizeIsMultipleOfThreadExecutionWidth:", "vB", +[](PipelineDescriptor *self, SEL, bool b) { self->whole_simd_groups = b; });

  Class *p = classes.pipeline = define_class("MTLComputePipelineState", root_class());
  add_device_method<Pipeline>(p);
  add(p, "label", "@", +[](Pipeline *self, SEL) { return text_or_nil(self->label); });
  add(p, "maxTotalThreadsPerThreadgroup", "Q", +[](Pipeline *self, SEL) { return self->max_threads; });
  add(p, "threadExecutionWidth", "Q", +[](Pipeline *self, SEL) -> uint64_t { return self->width; });
  add(p, "staticThreadgroupMemoryLength", "Q", +[](Pipeline *self, SEL) -> uint64_t { return self->info->static_threadgroup_memory_length; });
}

}  // namespace

CompileOptions::CompileOptions() : Object(classes.options) {}
ConstantValues::ConstantValues() : Object(classes.constants) {}
PipelineDescriptor::PipelineDescriptor() : Labelled(classes.descriptor) {}

Library::Library(Device *d, metalsim_library *l, const std::string &source) : Labelled(classes.library), device(d), library(l), checked(config().mode == METALSIM_MODE_CHECK) {
  auto has = [&](const char *name) { return source.find(name) != std::string::npos; };
  reduces = has("simd_sum") || has("simd_max") || has("simd_min");
  multiplies = has("simdgroup_multiply");
}
Library::~Library() { metalsim_library_release(library); }

Function::Function(Library *l, std::string n, metalsim_kernel *k) : Labelled(classes.function), library(l), name(std::move(n)), kernel(k) {}
Function::~Function() { metalsim_kernel_release(kernel); }

Pipeline::Pipeline(Device *d, const PipelineDescriptor &desc)
    : Labelled(classes.pipeline), device(d), kernel(desc.function->kernel), info(metalsim_kernel_describe(kernel)), max_threads(info->max_total_threads_per_threadgroup), width(simd_width()), whole_simd_groups(desc.whole_simd_groups), checked(desc.function->library->checked) {
  label = desc.label.empty() ? desc.function->name : desc.label;
  if (desc.max_threads && desc.max_threads < max_threads) max_threads = desc.max_threads;
  metalsim_kernel_retain(kernel);
}
Pipeline::~Pipeline() { metalsim_kernel_release(kernel); }

template <>
Class *class_of<Pipeline>() {
  return classes.pipeline;
}

void define_library() {
  define_options();
  define_functions();
  define_pipeline();
  Class *device = class_named("MTLDevice");
  add(device, "newLibraryWithSource:options:error:", "@@@^", new_library);
  add(device, "newComputePipelineStateWithDescriptor:options:reflection:error:", "@@Q^^", new_pipeline);
  add(device, "newComputePipelineStateWithFunction:error:", "@@^", +[](Device *self, SEL s, Function *f, Object **error) -> Object * {
    Ref<PipelineDescriptor> d = Ref<PipelineDescriptor>::adopt(new PipelineDescriptor);
    d->function = Ref<Function>(f);
    return new_pipeline(self, s, d.get(), 0, nullptr, error);
  });
}

}  // namespace sim
