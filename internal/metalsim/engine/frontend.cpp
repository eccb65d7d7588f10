#include "frontend.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>
#include <sstream>

#include "prepass.h"
#include "process.h"
#include "work.h"

namespace metalsim {

namespace {

#if defined(__x86_64__)
const char kTriple[] = "x86_64-linux-gnu";
#else
const char kTriple[] = "aarch64-linux-gnu";
#endif

// The machine that kernels run on; the compiler may be another's (under emulation). Half needs conversion instructions
// to be fast.
std::vector<std::string> machine_flags() {
  std::vector<std::string> f = {std::string("--target=") + kTriple};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")) f.push_back("-march=x86-64-v3");
#else
  f.push_back("-march=armv8.2-a+fp16");
#endif
  return f;
}

std::vector<std::string> language_flags(const Options &o) {
  std::vector<std::string> f = {
      "-std=c++17", "-O0", "-fPIC", "-gline-tables-only", "-nostdinc", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics", "-fno-strict-aliasing",
      "-fsigned-char", "-fvisibility=hidden", "-flax-vector-conversions=none", "-ftemplate-depth=2000", "-fno-math-errno",
      "-fno-discard-value-names",   // conversions() looks for `this`
      "-Wno-everything", "-Wimplicit-float-conversion", "-Wno-c++11-narrowing", "-fno-caret-diagnostics", "-fno-color-diagnostics", "-ferror-limit=20",
      // Only always_inline functions are inlined, and nothing is optimised, so that the checks see every access.
      "-Xclang", "-disable-O0-optnone",
      // Address spaces as attributes; see msl/types.h.
      "-Xclang", "-fsycl-is-device", "-Xclang", "-aux-triple", "-Xclang", kTriple, "-Xclang", "-ffake-address-space-map",
      // Every half and bfloat operation rounds.
      "-Xclang", "-ffloat16-excess-precision=none", "-Xclang", "-fbfloat16-excess-precision=none",
      o.fast_math ? "-ffp-contract=fast" : "-ffp-contract=off"};
  if (o.mode == METALSIM_MODE_CHECK)
    for (const char *s : {"-DMSL_CHECKED", "-fsanitize=array-bounds,integer-divide-by-zero,shift-exponent,float-cast-overflow,signed-integer-overflow", "-fsanitize-minimal-runtime", "-fsanitize-recover=all"}) f.push_back(s);
  for (auto &m : machine_flags()) f.push_back(m);
  f.push_back("-I" + home() + "/msl");
  return f;
}

std::string compile_key(std::string_view source, const Options &o, const std::string &compiler) {
  Hash h;
  h.add(compiler);
  h.add(source);
  for (auto &f : language_flags(o)) h.add(f);
  h.add(o.language_version);
  h.add((uint64_t)o.mode);
  h.add((uint64_t)o.coverage);
  h.add(o.source_name);
  for (auto &m : o.macros) {
    h.add(m.first);
    h.add(m.second);
  }
  return h.hex();
}

// Precompiled standard headers, once for each set of flags. "" if that does not work: then they are read each time.
std::string precompiled_header(const std::string &compiler, const std::vector<std::string> &flags) {
  static std::mutex mutex;
  static std::map<std::string, std::string> known;
  Hash h;
  h.add(compiler);
  for (auto &f : flags) h.add(f);
  std::lock_guard<std::mutex> lock(mutex);
  auto [it, fresh] = known.try_emplace(h.hex());
  if (!fresh) return it->second;
  std::string path = cache_path(h.hex() + ".pch");
  if (access(path.c_str(), R_OK) != 0) {
    std::string t = temporary(".pch"), messages;
    std::vector<std::string> command = {compiler};
    command.insert(command.end(), flags.begin(), flags.end());
    command.insert(command.end(), {"-x", "c++-header", home() + "/msl/metal_stdlib.h", "-o", t});
    if (run(command, messages) != 0 || !publish(t, path)) return "";
  }
  return it->second = path;
}

// #include <metal_...> and <simd/...> are built in; the lines go before preprocessing.
std::string without_standard_includes(std::string_view source) {
  std::string out;
  for (size_t i = 0; i < source.size();) {
    size_t n = source.find('\n', i);
    if (n == std::string_view::npos) n = source.size();
    std::string_view line = source.substr(i, n - i);
    std::string l = trim(line);
    bool standard = false;
    if (!l.empty() && l[0] == '#') {
      std::string d = trim(std::string_view(l).substr(1));
      if (d.rfind("include", 0) == 0) {
        std::string name = trim(std::string_view(d).substr(7));
        standard = name.rfind("<metal", 0) == 0 || name.rfind("<simd/", 0) == 0 || name.rfind("<SIMD/", 0) == 0 || name.rfind("<TargetConditionals", 0) == 0;
      }
    }
    if (!standard) out += line;
    if (n < source.size()) out += '\n';
    i = n + 1;
  }
  return out;
}

struct Message {
  std::string file, severity, text;
  int line = 0, column = 0;
};

// "file:line:col: severity: text"
bool parse_message(const std::string &l, Message &m) {
  for (const char *severity : {"fatal error", "error", "warning", "note"}) {
    size_t at = l.find(std::string(": ") + severity + ": ");
    if (at == std::string::npos) continue;
    m.severity = severity;
    m.text = l.substr(at + 4 + m.severity.size());
    std::string place = l.substr(0, at);
    size_t c = place.rfind(':'), n = c == std::string::npos || c == 0 ? std::string::npos : place.rfind(':', c - 1);
    if (n != std::string::npos) {
      m.file = place.substr(0, n);
      m.line = std::atoi(place.c_str() + n + 1);
      m.column = std::atoi(place.c_str() + c + 1);
    }
    return true;
  }
  return false;
}

// Line and column in the source, for a message about the rewritten text.
class Places {
 public:
  Places() {}
  Places(const std::string &text, Tokens::ColumnMap map) : map_(std::move(map)) {
    std::istringstream in(text);
    std::string l, file;
    int physical = 0, line = 0;
    while (std::getline(in, l)) {
      physical++;
      if (l.size() > 2 && l[0] == '#' && l[1] == ' ' && std::isdigit((unsigned char)l[2])) {
        line = std::atoi(l.c_str() + 2) - 1;
        size_t a = l.find('"'), b = l.find('"', a + 1);
        if (a != std::string::npos && b != std::string::npos) file = l.substr(a + 1, b - a - 1);
        continue;
      }
      lines_[{file, ++line}] = physical;
    }
  }
  int column(const std::string &file, int line, int column) const {
    auto it = lines_.find({file, line});
    if (it == lines_.end() || it->second >= (int)map_.lines.size()) return column;
    int result = column;
    for (auto &s : map_.lines[it->second]) {
      if (s.output > column) break;
      result = s.input + (column - s.output);
    }
    return result;
  }

 private:
  Tokens::ColumnMap map_;
  std::map<std::pair<std::string, int>, int> lines_;
};

std::string without_internal_names(std::string s) {
  static const std::pair<const char *, const char *> names[] = {
      {" (aka '__bf16')", ""}, {" (aka '_Float16')", ""}, {"__global_host", "constant"}, {"__global", "device"}, {"__local", "threadgroup"}, {"const constant", "constant"}};
  for (auto &[from, to] : names)
    for (size_t i = s.find(from); i != std::string::npos; i = s.find(from, i + std::string(to).size())) s.replace(i, std::string(from).size(), to);
  return s;
}

class Reporter {
 public:
  Reporter(std::string_view source, const Options &options) : source_(source), options_(options) {}

  void add(const std::string &file, int line, int column, const char *severity, const std::string &text) {
    out_ += file + ":" + std::to_string(line) + ":" + std::to_string(column) + ": " + severity + ": " + text + "\n";
    if (file == options_.source_name) snippet(line, column);
  }
  // Takes clang's messages. True: there were errors.
  bool add(const std::string &messages, const Places &places) {
    std::vector<Message> list;
    std::istringstream in(messages);
    std::string l;
    while (std::getline(in, l)) {
      Message m;
      if (parse_message(l, m)) list.push_back(m);
      else if (l.find("error:") != std::string::npos) list.push_back({"", "error", l, 0, 0});
    }
    bool failed = false;
    auto in_headers = [](const Message &m) { return m.file.find("/msl/") != std::string::npos; };
    for (size_t i = 0; i < list.size(); i++) {
      Message m = list[i];
      bool bfloat = m.severity == "warning" && m.text.find("to 'bfloat'") != std::string::npos;
      if (bfloat) m.severity = "error", m.text = "implicit conversion of a floating-point value to 'bfloat' is not allowed; write bfloat(x)";
      bool error = m.severity == "error" || m.severity == "fatal error";
      if (!error) continue;
      // An error inside the headers belongs to the user's line that led there.
      if (in_headers(m) || m.file.empty()) {
        for (size_t k = i + 1; k < list.size() && list[k].severity == "note"; k++)
          if (!list[k].file.empty() && !in_headers(list[k]) && list[k].file != "<built-in>") {
            m.file = list[k].file, m.line = list[k].line, m.column = list[k].column;
            break;
          }
        if (bfloat && (in_headers(m) || m.file.empty())) continue;
        if (in_headers(m) || m.file.empty()) m.file = options_.source_name, m.line = std::max(m.line, 1);
      }
      size_t requirement = m.text.find("static assertion failed");
      if (requirement == 0) {
        size_t colon = m.text.find(": ");
        if (colon != std::string::npos) m.text = m.text.substr(colon + 2);
      }
      failed = true;
      add(m.file, m.line, places.column(m.file, m.line, m.column), "error", without_internal_names(m.text));
    }
    return failed;
  }
  const std::string &text() const { return out_; }

 private:
  std::string_view source_;
  const Options &options_;
  std::string out_;

  void snippet(int line, int column) {
    size_t i = 0;
    for (int n = 1; n < line && i < source_.size(); n++) {
      i = source_.find('\n', i);
      if (i == std::string_view::npos) return;
      i++;
    }
    size_t end = std::min(source_.find('\n', i), source_.size());
    if (i >= end) return;
    out_ += std::string(source_.substr(i, end - i)) + "\n" + std::string((size_t)std::max(column - 1, 0), ' ') + "^\n";
  }
};

std::string serialise(const Compiled &c) {
  std::ostringstream s;
  for (auto &e : c.entries) {
    s << "kernel\t" << e.name;
    for (auto &p : e.parameters) s << '\t' << p.kind << p.name;
    s << '\n';
  }
  for (auto &k : c.constants) s << "constant\t" << k.name << '\t' << k.type << '\t' << k.index << '\t' << k.optional << '\n';
  s << "end\n";
  return s.str();
}

bool deserialise(const std::string &text, Compiled &c) {
  std::istringstream in(text);
  std::string l;
  while (std::getline(in, l)) {
    std::vector<std::string> f;
    std::istringstream fields(l);
    for (std::string x; std::getline(fields, x, '\t');) f.push_back(x);
    if (f.empty()) continue;
    if (f[0] == "end") return true;
    if (f[0] == "kernel" && f.size() > 1) {
      Entry e{f[1], {}};
      for (size_t i = 2; i < f.size(); i++) e.parameters.push_back({f[i].substr(1), f[i][0]});
      c.entries.push_back(e);
    } else if (f[0] == "constant" && f.size() == 5) {
      c.constants.push_back({f[1], f[2], std::atoi(f[3].c_str()), f[4] == "1"});
    }
  }
  return false;
}

std::string version_macro(uint32_t v) { return std::to_string((v >> 16) * 100 + (v & 0xffff) * 10); }

// Removes its file when the compilation is over.
struct TemporaryFile {
  std::string path;
  explicit TemporaryFile(const std::string &suffix) : path(temporary(suffix)) {}
  ~TemporaryFile() {
    if (!std::getenv("METALSIM_KEEP")) unlink(path.c_str());
  }
};

}  // namespace

bool compile(std::string_view source, const Options &o, Compiled &c, std::string &messages) {
  std::string why, compiler = clang(why);
  if (compiler.empty()) {
    messages = why;
    return false;
  }
  c.key = compile_key(source, o, compiler);
  std::string ir_path = cache_path(c.key + ".ll"), index_path = cache_path(c.key + ".library"), ir, index;
  if (read_file(index_path, index) && deserialise(index, c) && read_file(ir_path, ir)) {
    c.module = std::make_unique<Module>(std::move(ir));
    return true;
  }
  c.entries.clear();
  c.constants.clear();

  TemporaryFile metal(".metal"), preprocessed(".ii"), rewritten(".cpp"), object(".ll");
  if (!write_file(metal.path, "#line 1 \"" + o.source_name + "\"\n" + without_standard_includes(source))) {
    messages = "metalsim: cannot write to " + home() + "/compiled";
    return false;
  }
  Reporter report(source, o);
  std::vector<std::string> command = {compiler, "-x", "c++", "-std=c++17", "-E", "-undef", "-nostdinc", "-fno-caret-diagnostics", "-fno-color-diagnostics", "-w",
                                      "-D__METAL__=1", "-D__METAL_MACOS__=1", "-D__METAL_VERSION__=" + version_macro(o.language_version), "-Dassert(x)=",
                                      "-include", home() + "/msl/macros.h"};
  if (o.language_version >= (3u << 16 | 1)) command.push_back("-D__HAVE_BFLOAT__=1");
  if (o.fast_math) command.push_back("-D__FAST_MATH__=1");
  for (auto &m : o.macros) command.push_back("-D" + m.first + "=" + m.second);
  command.insert(command.end(), {metal.path, "-o", preprocessed.path});
  std::string errors, text;
  int status = run(command, errors);
  if (status != 0 || !read_file(preprocessed.path, text)) {
    if (!report.add(errors, Places())) report.add(o.source_name, 1, 1, "error", "preprocessing failed: " + errors);
    messages = report.text();
    return false;
  }

  Tokens tokens(text);
  Program program;
  prepass(tokens, program);
  Tokens::ColumnMap columns;
  std::string code = tokens.text(&columns);
  Places places(code, std::move(columns));
  code += entry_code(program);

  std::vector<std::string> flags = language_flags(o);
  if (program.object_parameters) std::replace(flags.begin(), flags.end(), std::string("-std=c++17"), std::string("-std=c++2b"));
  std::string header = precompiled_header(compiler, flags);
  write_file(rewritten.path, code);
  command = {compiler, "-x", "c++"};
  command.insert(command.end(), flags.begin(), flags.end());
  if (header.empty()) command.insert(command.end(), {"-include", "metal_stdlib.h"});
  else command.insert(command.end(), {"-include-pch", header});
  command.insert(command.end(), {"-S", "-emit-llvm", rewritten.path, "-o", object.path});
  errors.clear();
  status = run(command, errors);
  for (auto &d : program.errors) report.add(d.position.file, d.position.line, d.position.column, "error", d.message);
  bool failed = report.add(errors, places) || !program.errors.empty();
  if (!failed && status != 0) {
    report.add(o.source_name, 1, 1, "error", "the compiler failed: " + errors);
    failed = true;
  }
  if (failed || !read_file(object.path, ir)) {
    messages = report.text();
    return false;
  }
  // Clang writes a constant's conversion to the generic space as a bit cast, and does not read that.
  for (size_t i = ir.find("bitcast (ptr addrspace("); i != std::string::npos; i = ir.find("bitcast (ptr addrspace(", i)) ir.replace(i, 7, "addrspacecast");
  for (auto &e : program.entries) {
    Entry entry{e.host_name, {}};
    for (auto &p : program.functions[e.function].parameters) entry.parameters.push_back({p.name, p.kind});
    c.entries.push_back(entry);
  }
  for (auto &k : program.constants) c.constants.push_back({k.name, k.type, k.index, k.optional});
  c.module = std::make_unique<Module>(ir);
  std::string name;
  for (auto &[site, space] : c.module->conversions()) {
    report.add(site.file, site.line, places.column(site.file, site.line, site.column), "error", std::string("cannot use a pointer or reference to the '") + space + "' address space as one to 'thread'");
    failed = true;
  }
  for (auto &site : c.module->native_comparisons()) {
    report.add(site.file, site.line, places.column(site.file, site.line, site.column), "error", "this comparison or negation of vectors is not understood by the simulator; put its operands in parentheses");
    failed = true;
  }
  if (failed) {
    messages = report.text();
    return false;
  }
  Site recursive = c.module->recursion(name);
  if (!name.empty()) {
    report.add(recursive.file, recursive.line, recursive.column, "error", "recursive function calls are not supported in Metal ('" + name + "')");
    messages = report.text();
    return false;
  }
  write_file(ir_path, ir);
  write_file(index_path, serialise(c));   // last: its presence says that all is there
  return true;
}

bool generate(KernelModule &kernel, const Options &o, const std::string &stem, std::string &messages) {
  std::string why, compiler = clang(why);
  TemporaryFile input(".ll"), optimised(".ll");
  auto machine = machine_flags();
  std::string contract = o.fast_math ? "-ffp-contract=fast" : "-ffp-contract=off";
  if (o.mode == METALSIM_MODE_COUNT) {
    write_file(input.path, kernel.ir);
    std::vector<std::string> command = {compiler, "-x", "ir", "-O2", "-fPIC", "-S", "-emit-llvm", "-w", contract, "-fno-vectorize", "-fno-slp-vectorize", "-mllvm", "-disable-vector-combine"};
#if defined(__x86_64__)
    command.push_back("-mno-gather");   // every access must be an ordinary load or store
#endif
    command.insert(command.end(), machine.begin(), machine.end());
    command.insert(command.end(), {input.path, "-o", optimised.path});
    std::string text;
    if (run(command, messages) != 0 || !read_file(optimised.path, text)) return false;
    Module::count_accesses(kernel, count_work(text));
  }
  write_file(input.path, kernel.ir);
  std::string library = temporary(".so");
  std::vector<std::string> command = {compiler, "-x", "ir", o.mode == METALSIM_MODE_PLAIN ? "-O2" : "-O1", "-fPIC", "-shared", "-nostdlib", "-w", contract, "-fno-math-errno"};
  command.insert(command.end(), machine.begin(), machine.end());
  command.insert(command.end(), {input.path, "-o", library});
  if (run(command, messages) != 0) {
    unlink(library.c_str());
    return false;
  }
  return publish(library, stem + ".so");
}

}  // namespace metalsim
