#include "module.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <set>
#include <unordered_set>

#include "instrument.h"
#include "msl/abi.h"

namespace metalsim {

namespace {

bool starts_with(std::string_view s, std::string_view prefix) { return s.substr(0, prefix.size()) == prefix; }

bool name_part(char c) { return std::isalnum((unsigned char)c) || c == '_' || c == '.' || c == '$' || c == '-'; }

std::string_view name_at(std::string_view s, size_t at) {
  size_t n = at + 1;
  if (n < s.size() && s[n] == '"') {
    n = s.find('"', n + 1);
    return n == std::string_view::npos ? std::string_view() : s.substr(at, n + 1 - at);
  }
  while (n < s.size() && name_part(s[n])) n++;
  return s.substr(at, n - at);
}

std::vector<std::string_view> split_lines(std::string_view s) {
  std::vector<std::string_view> lines;
  for (size_t i = 0; i < s.size();) {
    size_t n = s.find('\n', i);
    if (n == std::string_view::npos) n = s.size();
    lines.push_back(s.substr(i, n - i));
    i = n + 1;
  }
  return lines;
}

// The number after `key` in a metadata node, as "line: 12" or "scope: !7"; -1 when absent.
int field(std::string_view node, std::string_view key) {
  size_t i = node.find(key);
  if (i == std::string_view::npos) return -1;
  i += key.size();
  if (i < node.size() && node[i] == '!') i++;
  return std::atoi(std::string(node.substr(i, 12)).c_str());
}

// Runtime files are not what a report should point at.
bool is_runtime_file(std::string_view file) {
  return (starts_with(file, "msl/") || file.find("/msl/") != std::string_view::npos) && file.size() > 2 && file.substr(file.size() - 2) == ".h";
}

}  // namespace

std::vector<std::string_view> references(std::string_view s) {
  std::vector<std::string_view> r;
  for (size_t i = s.find('@'); i != std::string_view::npos; i = s.find('@', i + 1)) {
    std::string_view n = name_at(s, i);
    if (n.size() > 1) r.push_back(n);
  }
  return r;
}

Module::Module(std::string text) : text_(std::move(text)) {
  std::string_view all = text_;
  for (size_t i = 0; i < all.size();) {
    size_t n = all.find('\n', i);
    if (n == std::string_view::npos) n = all.size();
    std::string_view line = all.substr(i, n - i);
    size_t next = n + 1;
    if (starts_with(line, "define ")) {
      size_t end = all.find("\n}\n", i);
      end = end == std::string_view::npos ? all.size() : end + 2;
      std::string_view name = name_at(all, all.find('@', i));
      functions_[name] = {i, end, references(all.substr(n, end - n))};
      function_order_.push_back(name);
      next = end + 1;
    } else if (starts_with(line, "declare ")) {
      declarations_[name_at(line, line.find('@'))] = line;
    } else if (starts_with(line, "@")) {
      std::string_view name = name_at(line, 0);
      globals_[name] = line;
      global_order_.push_back(name);
    } else if (starts_with(line, "%") && line.find(" = type ") != std::string_view::npos) {
      size_t eq = line.find(" = type ");
      types_[line.substr(0, eq)] = line.substr(eq + 8);
      heading_.push_back(line);
    } else if (starts_with(line, "target ")) {
      heading_.push_back(line);
    } else if (starts_with(line, "attributes ")) {
      attributes_.push_back(line);
    } else if (starts_with(line, "!") && line.size() > 1 && std::isdigit((unsigned char)line[1])) {
      size_t eq = line.find(" = ");
      metadata_[std::atoi(std::string(line.substr(1, eq - 1)).c_str())] = line.substr(eq + 3);
    }
    i = next;
  }
}

Module::Layout Module::layout(std::string_view t) const {
  while (!t.empty() && t.front() == ' ') t.remove_prefix(1);
  while (!t.empty() && t.back() == ' ') t.remove_suffix(1);
  if (t.empty()) return {0, 1};
  if (t[0] == 'i' && t.size() > 1 && std::isdigit((unsigned char)t[1])) {
    uint64_t bits = std::strtoul(std::string(t.substr(1)).c_str(), nullptr, 10), bytes = (bits + 7) / 8, align = 1;
    while (align < bytes && align < 16) align *= 2;
    return {bytes, align};
  }
  if (t == "half" || t == "bfloat") return {2, 2};
  if (t == "float") return {4, 4};
  if (t == "double" || starts_with(t, "ptr")) return {8, 8};
  if (t[0] == '%') {
    auto i = types_.find(t);
    return i == types_.end() ? Layout{0, 1} : layout(i->second);
  }
  bool packed = starts_with(t, "<{");
  if (t[0] == '[' || (t[0] == '<' && !packed)) {
    size_t x = t.find(" x ");
    uint64_t count = std::strtoul(std::string(t.substr(1, x - 1)).c_str(), nullptr, 10);
    std::string_view element = t.substr(x + 3, t.size() - x - 4);
    Layout e = layout(element);
    if (t[0] == '[') return {(e.size + e.align - 1) / e.align * e.align * count, e.align};
    uint64_t size = element == "i1" ? (count + 7) / 8 : e.size * count, align = 1;
    while (align < size) align *= 2;
    return {size, align};
  }
  if (t[0] == '{' || packed) {
    std::string_view body = t.substr(packed ? 2 : 1, t.size() - (packed ? 4 : 2));
    Layout r = {0, 1};
    int depth = 0;
    for (size_t i = 0, start = 0; i <= body.size(); i++) {
      char c = i < body.size() ? body[i] : ',';
      if (c == '{' || c == '[' || c == '<' || c == '(') depth++;
      if (c == '}' || c == ']' || c == '>' || c == ')') depth--;
      if (c != ',' || depth) continue;
      Layout e = layout(body.substr(start, i - start));
      if (packed) e.align = 1;
      r.size = (r.size + e.align - 1) / e.align * e.align + e.size;
      r.align = std::max(r.align, e.align);
      start = i + 1;
    }
    r.size = (r.size + r.align - 1) / r.align * r.align;
    return r;
  }
  return {0, 1};
}

// The innermost position that is not in the runtime's headers.
Site Module::position(int node) const {
  Site s;
  for (int depth = 0; node >= 0 && depth < 64; depth++) {
    auto location = metadata_.find(node);
    if (location == metadata_.end()) break;
    std::string_view text = location->second;
    std::string file;
    for (int scope = field(text, "scope: !"); scope >= 0;) {
      auto it = metadata_.find(scope);
      if (it == metadata_.end()) break;
      int f = field(it->second, "file: !");
      auto file_node = metadata_.find(f);
      if (f >= 0 && file_node != metadata_.end()) {
        std::string_view d = file_node->second;
        size_t a = d.find("filename: \"");
        if (a != std::string_view::npos) file = d.substr(a + 11, d.find('"', a + 11) - a - 11);
        break;
      }
      scope = field(it->second, "scope: !");
    }
    bool user = !file.empty() && !is_runtime_file(file);
    if (user && field(text, "line: ") > 0) {
      s.file = file;
      s.line = field(text, "line: ");
      s.column = std::max(0, field(text, "column: "));
      return s;
    }
    node = field(text, "inlinedAt: !");
  }
  return s;
}

Site Module::position_of_line(std::string_view line) const {
  size_t i = line.rfind(", !dbg !");
  return i == std::string_view::npos ? Site() : position(std::atoi(std::string(line.substr(i + 8, 12)).c_str()));
}

std::vector<std::string_view> Module::reach(std::vector<std::string_view> work) const {
  std::unordered_set<std::string_view> seen(work.begin(), work.end());
  std::vector<std::string_view> found;
  while (!work.empty()) {
    std::string_view name = work.back();
    work.pop_back();
    found.push_back(name);
    auto visit = [&](std::string_view r) {
      if (seen.insert(r).second) work.push_back(r);
    };
    if (auto f = functions_.find(name); f != functions_.end()) {
      for (auto r : f->second.references) visit(r);
    } else if (auto g = globals_.find(name); g != globals_.end()) {
      for (auto r : references(g->second.substr(name.size()))) visit(r);
    }
  }
  return found;
}

std::vector<int> Module::constants_of(int number) const {
  std::string entry = "@msl_entry_" + std::to_string(number), reflect = "@msl_reflect_" + std::to_string(number);
  std::vector<std::string_view> roots = {entry, reflect}, reached = reach(roots);
  // A program-scope constant derived from function constants is set by an initialiser, which only refers to it.
  for (size_t before = 0; before != roots.size();) {
    before = roots.size();
    std::unordered_set<std::string_view> found(reached.begin(), reached.end());
    for (auto &[name, f] : functions_) {
      if (!starts_with(name, "@__cxx_global_var_init") || found.count(name)) continue;
      bool sets = std::any_of(f.references.begin(), f.references.end(), [&](auto g) { return !starts_with(g, "@msl_") && globals_.count(g) && found.count(g); });
      if (sets) roots.push_back(name);
    }
    reached = reach(roots);
  }
  std::set<int> r;
  for (auto name : reached) {
    if (starts_with(name, "@msl_constant_")) r.insert(std::atoi(std::string(name.substr(14)).c_str()));
    if (starts_with(name, "@msl_is_set_")) r.insert(std::atoi(std::string(name.substr(12)).c_str()));
  }
  return {r.begin(), r.end()};
}

Site Module::recursion(std::string &name) const {
  enum { unseen, open, closed };
  std::unordered_map<std::string_view, int> state;
  std::string_view found;
  std::function<void(std::string_view)> visit = [&](std::string_view f) {
    state[f] = open;
    for (auto r : functions_.at(f).references) {
      if (!found.empty() || !functions_.count(r)) continue;
      if (state[r] == open) found = r;
      else if (state[r] == unseen) visit(r);
    }
    state[f] = closed;
  };
  for (auto f : function_order_)
    if (found.empty() && state[f] == unseen) visit(f);
  if (found.empty()) return {};
  name = found.substr(1);
  const Function &f = functions_.at(found);
  std::string_view body = std::string_view(text_).substr(f.begin, f.end - f.begin);
  for (auto line : split_lines(body)) {
    Site s = position_of_line(line);
    if (s.line > 0) return s;
  }
  return {};
}

std::vector<std::pair<Site, const char *>> Module::conversions() const {
  std::vector<std::pair<Site, const char *>> found;
  for (auto function : function_order_) {
    if (starts_with(function, "@msl_")) continue;
    const Function &f = functions_.at(function);
    std::unordered_map<std::string_view, const char *> casts;
    for (auto line : split_lines(std::string_view(text_).substr(f.begin, f.end - f.begin))) {
      size_t cast = line.find(" = addrspacecast ptr addrspace(");
      if (cast != std::string_view::npos && line.find(" to ptr,") != std::string_view::npos) {
        char space = line[cast + 31];
        casts[line.substr(2, cast - 2)] = space == '1' ? "device" : space == '3' ? "threadgroup" : "constant";
        continue;
      }
      if (casts.empty()) continue;
      // Kept in a variable other than `this`, or handed to a function as a pointer (references say how much they refer to).
      const char *space = nullptr;
      if (starts_with(line, "  store ptr %")) {
        size_t end = line.find(',');
        auto it = casts.find(line.substr(12, end - 12));
        if (it != casts.end() && line.find("%this") == std::string_view::npos) space = it->second;
      } else if (line.find("call ") != std::string_view::npos && line.find("@llvm.") == std::string_view::npos) {
        for (size_t i = line.find("ptr noundef %"); i != std::string_view::npos; i = line.find("ptr noundef %", i + 1)) {
          size_t name = i + 12, end = line.find_first_of(",)", name);
          auto it = casts.find(line.substr(name, end - name));
          if (it != casts.end()) space = it->second;
        }
      }
      Site s;   // in the headers the conversion is meant
      if (space && in_source(line, s)) found.push_back({s, space});
    }
  }
  return found;
}

bool Module::in_source(std::string_view line, Site &s) const {
  size_t dbg = line.rfind(", !dbg !");
  if (dbg == std::string_view::npos) return false;
  auto location = metadata_.find(std::atoi(std::string(line.substr(dbg + 8, 12)).c_str()));
  if (location == metadata_.end()) return false;
  s = position_of_line(line);
  return s.line > 0 && s.line == field(location->second, "line: ") && s.column == field(location->second, "column: ");
}

std::vector<Site> Module::native_comparisons() const {
  std::vector<Site> found;
  std::string_view all = text_;
  for (size_t i = all.find(" = sext <"); i != std::string_view::npos; i = all.find(" = sext <", i + 1)) {
    std::string_view line = all.substr(i, all.find('\n', i) - i);
    Site s;
    if (line.find(" x i1> ") != std::string_view::npos && in_source(line, s)) found.push_back(s);
  }
  return found;
}

std::vector<std::pair<std::string, int>> Module::lines() const {
  std::set<std::pair<std::string, int>> r;
  for (auto name : function_order_) {
    if (starts_with(name, "@msl_")) continue;
    const Function &f = functions_.at(name);
    for (auto line : split_lines(std::string_view(text_).substr(f.begin, f.end - f.begin))) {
      Site s = position_of_line(line);
      if (s.line > 0) r.insert({s.file, s.line});
    }
  }
  return {r.begin(), r.end()};
}

namespace {

// A function constant's value in IR, for the type of its declaration.
std::string constant_text(std::string_view type, const uint8_t *bytes, size_t available) {
  char b[64];
  uint64_t v = 0;
  auto take = [&](size_t n) { std::memcpy(&v, bytes, std::min(n, available)); };
  if (type == "half" || type == "bfloat") {
    take(2);
    std::snprintf(b, sizeof b, type == "half" ? "0xH%04X" : "0xR%04X", (unsigned)v);
    return b;
  }
  if (type == "float") {
    take(4);
    float f;
    std::memcpy(&f, &v, 4);
    double d = f;
    std::memcpy(&v, &d, 8);
    std::snprintf(b, sizeof b, "0x%016lX", (unsigned long)v);
    return b;
  }
  if (type[0] == 'i') {
    take(std::max(1, std::atoi(std::string(type.substr(1)).c_str()) / 8));
    return std::to_string(v);
  }
  if (type[0] == '<') {
    size_t x = type.find(" x ");
    int count = std::atoi(std::string(type.substr(1, x)).c_str());
    std::string_view element = type.substr(x + 3, type.size() - x - 4);
    size_t size = element == "float" ? 4 : element[0] == 'i' ? std::max(1, std::atoi(std::string(element.substr(1)).c_str()) / 8) : 2;
    std::string r = "<";
    for (int i = 0; i < count; i++) {
      size_t at = std::min(available, i * size);
      r += std::string(i ? ", " : "") + std::string(element) + " " + constant_text(element, bytes + at, available - at);
    }
    return r + ">";
  }
  return "zeroinitializer";
}

// @g = <linkage words> [addrspace(n)] constant|global TYPE rest
struct GlobalParts {
  std::string_view name, space, keyword, type, rest;
};
GlobalParts parse_global(std::string_view line) {
  GlobalParts p;
  p.name = name_at(line, 0);
  size_t k = line.find(" constant "), g = line.find(" global ");
  size_t at = std::min(k, g);
  if (at == std::string_view::npos) return p;
  size_t a = line.find("addrspace(");
  if (a != std::string_view::npos && a < at) p.space = line.substr(a, line.find(')', a) + 1 - a);
  p.keyword = k < g ? "constant" : "global";
  size_t start = at + p.keyword.size() + 2, end = type_end(line, start);
  p.type = line.substr(start, end - start);
  p.rest = line.substr(end);
  return p;
}

// "loc" of _ZZ..E3loc, for messages.
std::string variable_name(std::string_view symbol) {
  size_t e = symbol.rfind('E');
  while (e != std::string_view::npos && e + 1 < symbol.size()) {
    size_t i = e + 1;
    size_t n = 0;
    while (i < symbol.size() && std::isdigit((unsigned char)symbol[i])) n = n * 10 + (symbol[i++] - '0');
    if (n && i + n <= symbol.size()) return std::string(symbol.substr(i, n));
    if (e == 0) break;
    e = symbol.rfind('E', e - 1);
  }
  return std::string(symbol.substr(1));
}

std::string without_words(std::string_view line, std::initializer_list<std::string_view> words) {
  std::string r(line);
  for (auto w : words)
    for (size_t i = r.find(w); i != std::string::npos; i = r.find(w, i)) r.erase(i, w.size());
  return r;
}

// "define linkonce_odr hidden noundef float @f(...) ... comdat ... {" -> internal, without comdat.
std::string internal_define(std::string_view line) {
  static const std::set<std::string_view> words = {"dso_local", "hidden", "linkonce_odr", "weak_odr", "linkonce", "weak", "internal", "private", "external", "available_externally"};
  std::string_view rest = line.substr(7);
  for (;;) {
    size_t n = rest.find(' ');
    if (!words.count(rest.substr(0, n))) break;
    rest.remove_prefix(n + 1);
  }
  std::string r = "define internal " + std::string(rest);
  size_t c = r.rfind(" comdat");
  if (c != std::string::npos && c > r.rfind(')', r.rfind('#')) ) {
    size_t end = c + 7;
    if (end < r.size() && r[end] == '(') end = r.find(')', end) + 1;
    r.erase(c, end - c);
  }
  return r;
}

}  // namespace

KernelModule Module::build(int number, const std::map<int, ConstantValue> &constants, metalsim_mode mode, bool coverage, bool fast_math) const {
  KernelModule k;
  std::string entry = "@msl_entry_" + std::to_string(number), reflect = "@msl_reflect_" + std::to_string(number);
  std::vector<std::string_view> roots = {entry, reflect};
  if (globals_.count("@llvm.global_ctors")) roots.push_back("@llvm.global_ctors");
  if (mode == METALSIM_MODE_COUNT) roots.insert(roots.end(), {"@msl_count_read", "@msl_count_write", "@msl_address"});
  if (mode == METALSIM_MODE_CHECK) roots.insert(roots.end(), {"@msl_undefined_if", "@msl_address"});
  std::vector<std::string_view> reached = reach(roots);
  std::unordered_set<std::string_view> keep(reached.begin(), reached.end());
  k.synchronises = keep.count("@msl_barrier") || keep.count("@msl_exchange");

  std::string out;
  for (auto line : heading_) (out += line) += '\n';

  // Globals. Threadgroup variables get their places; in mode CHECK they become tagged addresses.
  std::map<std::string_view, std::string> addresses;
  for (auto name : global_order_) {
    if (!keep.count(name)) continue;
    std::string_view line = globals_.at(name);
    bool constant = starts_with(name, "@msl_constant_"), is_set = starts_with(name, "@msl_is_set_");
    if (constant || is_set) {
      GlobalParts g = parse_global(line);
      auto value = constants.find(std::atoi(std::string(name.substr(constant ? 14 : 12)).c_str()));
      bool known = value != constants.end() && value->second.is_set;
      std::string bytes;
      if (!is_set && known && g.type[0] == '%') {   // a vector of booleans
        for (uint8_t b : value->second.bytes) bytes += (bytes.empty() ? "i8 " : ", i8 ") + std::to_string(b);
        out += std::string(name) + " = internal " + std::string(g.space) + " constant [" + std::to_string(value->second.bytes.size()) + " x i8] [" + bytes + "], align 4\n";
        continue;
      }
      std::string text = is_set ? (known ? "1" : "0") : known ? constant_text(g.type, value->second.bytes.data(), value->second.bytes.size()) : "zeroinitializer";
      out += std::string(name) + " = internal " + std::string(g.space) + " constant " + std::string(g.type) + " " + text + "\n";
    } else if (line.find("section \"msl_threadgroup\"") != std::string_view::npos) {
      GlobalParts g = parse_global(line);
      Layout l = layout(g.type);
      size_t a = g.rest.rfind("align ");
      uint64_t align = a == std::string_view::npos ? l.align : std::strtoul(std::string(g.rest.substr(a + 6, 8)).c_str(), nullptr, 10);
      k.threadgroup_memory = (k.threadgroup_memory + align - 1) / align * align;
      k.variables.push_back({variable_name(name), k.threadgroup_memory, (uint32_t)l.size});
      k.threadgroup_memory += l.size;
      if (mode == METALSIM_MODE_CHECK) {
        uint64_t tag = (MSL_TAG_VARIABLE + k.variables.size() - 1) << MSL_TAG_SHIFT | MSL_THREADGROUP_ORIGIN;
        addresses[name] = "inttoptr (i64 " + std::to_string(tag) + " to ptr addrspace(3))";
      } else {
        // Not internal: LLVM would conclude that a barrier cannot change it.
        out += std::string(name) + " = hidden " + std::string(g.space) + " global " + std::string(g.type) + " zeroinitializer, align " + std::to_string(align) + "\n";
      }
    } else {
      size_t comdat = line.find(", comdat");
      std::string l(line);
      if (comdat != std::string_view::npos) {
        size_t end = comdat + 8;
        if (end < l.size() && l[end] == '(') end = l.find(')', end) + 1;
        l.erase(comdat, end - comdat);
      }
      out += l + "\n";
    }
  }
  if (mode == METALSIM_MODE_COUNT) out += "@llvm.used = appending global [2 x ptr] [ptr @msl_count_read, ptr @msl_count_write], section \"llvm.metadata\"\n";

  // A kernel that names a NaN means to write some.
  bool finite = mode == METALSIM_MODE_CHECK && fast_math;
  for (auto name : function_order_) {
    if (!finite || !keep.count(name)) continue;
    const Function &f = functions_.at(name);
    std::string_view body = std::string_view(text_).substr(f.begin, f.end - f.begin);
    for (const char *nan : {"0x7FF8", "0x7FFC", "0xFFF8", "0xH7E", "0xR7FC"}) finite = finite && body.find(nan) == std::string_view::npos;
  }
  Instrumenter instrument(*this, k, mode, coverage, finite);
  for (auto name : function_order_) {
    if (!keep.count(name)) continue;
    const Function &f = functions_.at(name);
    std::string body = text_.substr(f.begin, f.end - f.begin);
    bool exported = name == entry || name == reflect;
    bool user = !starts_with(name, "@msl_");
    if (!addresses.empty()) body = replace_names(body, addresses);
    size_t first = body.find('\n');
    std::string head = internal_define(std::string_view(body).substr(0, first));
    if (exported) head.erase(7, std::string_view("internal ").size());
    std::string code = instrument.function(std::string_view(body).substr(first + 1), user);
    out += instrument.head(head) + "\n" + code;
  }
  out += instrument.globals();
  for (auto &[name, line] : declarations_)
    if (keep.count(name)) (out += line) += '\n';
  out += instrument.declarations([&](std::string_view n) { return declarations_.count(n) && keep.count(n); });
  for (auto line : attributes_) out += without_words(line, {" noinline", " optnone"}) + "\n";

  // Metadata that is still referred to; debug locations only where count_accesses() needs them.
  out += instrument.metadata(out);
  k.ir = std::move(out);
  return k;
}

}  // namespace metalsim
