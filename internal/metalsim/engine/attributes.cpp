// attributes.cpp: [[...]] of kernels, parameters and function constants are read and removed, since clang refuses most of
// them; explicit instantiations of kernels become entries.
#include <cctype>
#include <map>
#include <set>

#include "prepass.h"

namespace metalsim {

namespace {

struct Attribute {
  std::string name, argument;
  int argument_token = -1;
};

// Letters of entry.h.
const std::map<std::string, char> kBuiltIns = {
    {"thread_position_in_threadgroup", 'p'},
    {"threadgroup_position_in_grid", 'g'},
    {"thread_position_in_grid", 'G'},
    {"threads_per_threadgroup", 'T'},
    {"dispatch_threads_per_threadgroup", 'D'},
    {"threadgroups_per_grid", 'n'},
    {"threads_per_grid", 'N'},
    {"grid_size", 'N'},
    {"grid_origin", 'O'},
    {"thread_index_in_threadgroup", 'f'},
    {"thread_index_in_simdgroup", 'l'},
    {"simdgroup_index_in_threadgroup", 's'},
    {"simdgroups_per_threadgroup", 'S'},
    {"dispatch_simdgroups_per_threadgroup", 'E'},
    {"threads_per_simdgroup", 'w'},
    {"thread_execution_width", 'w'},
    {"thread_index_in_quadgroup", 'q'},
    {"quadgroup_index_in_threadgroup", 'Q'},
    {"quadgroups_per_threadgroup", 'R'},
    {"dispatch_quadgroups_per_threadgroup", 'R'},
};
const std::set<std::string> kRefused = {"texture", "sampler", "stage_in", "payload", "visible_function_table"};
// Functions of the graphics pipeline and of ray tracing, which a library may have beside its kernels.
const std::set<std::string> kGraphics = {"vertex", "fragment", "object", "mesh", "intersection"};

class Reader {
 public:
  Reader(Tokens &tokens, Program &program) : t(tokens), p(program) {}

  void run() {
    for (int i = t.next(-1); i < t.size(); i = t.next(i)) {
      const std::string &x = t.at(i);
      if (x == "{") {
        open_scope(i);
        pending.clear();
      } else if (x == "}") {
        if (!scopes.empty()) scopes.pop_back();
        pending.clear();
      } else if (x == ";") {
        pending.clear();
      } else if (x == "template" && is_instantiation(i)) {
        i = instantiation(i);
      } else if (x == "kernel" && !is_member_name(i)) {
        t.remove(i, i);
        kernel(i);
      } else if ((x == "vertex" || x == "fragment") && !is_member_name(i)) {
        i = skip(i);
      } else if (is_attribute(i)) {
        i = attribute(i);
      } else if (x == "is_function_constant_defined") {
        is_defined(i);
      }
    }
    for (auto &c : p.constants) c.optional = asked.count(c.name) > 0;
  }

 private:
  Tokens &t;
  Program &p;
  std::vector<std::string> scopes;     // names of the enclosing namespaces; "" for other braces
  std::vector<Attribute> pending;      // attributes in front of a declaration
  std::set<std::string> asked;         // constants asked with is_function_constant_defined

  void open_scope(int brace) {
    int name = t.previous(brace);
    scopes.push_back(t.at(t.previous(name)) == "namespace" && t.is_word(name) ? t.at(name) : "");
  }
  std::string qualified(const std::string &name) const {
    std::string r;
    for (auto &s : scopes)
      if (!s.empty()) r += s + "::";
    return r + name;
  }
  bool is_member_name(int i) const {
    const std::string &before = t.at(t.previous(i));
    return before == "::" || before == "." || before == "->" || before == "," || before == "(";
  }
  bool is_attribute(int i) const {
    if (t.at(i) != "[" || t.at(t.next(i)) != "[") return false;
    int end = t.match(i);
    return end > 0 && t.at(t.previous(end)) == "]";
  }
  bool is_instantiation(int i) const {
    int n = t.next(i);
    return t.at(n) == "kernel" || t.at(n) == "vertex" || t.at(n) == "fragment" || is_attribute(n);
  }

  // Reads the list [[a, b(c)]] at i. Returns its last token.
  int read(int i, std::vector<Attribute> &out) const {
    int end = t.match(i), last = t.previous(end);
    for (int k = t.next(t.next(i)); k < last; k = t.next(k)) {
      if (t.at(k) == ",") continue;
      Attribute a;
      while (t.at(t.next(k)) == "::") k = t.next(t.next(k));
      a.name = t.at(k);
      int open = t.next(k);
      if (t.at(open) == "(") {
        int close = t.match(open);
        if (close < 0) break;
        a.argument_token = t.next(open);
        a.argument = t.join(open + 1, close - 1);
        k = close;
      }
      out.push_back(a);
    }
    return end;
  }
  static const Attribute *find(const std::vector<Attribute> &list, const std::string &name) {
    for (auto &a : list)
      if (a.name == name) return &a;
    return nullptr;
  }
  static std::string unquote(const std::string &s) {
    std::string r;
    bool in = false;
    for (char c : s) {
      if (c == '"') in = !in;
      else if (in) r += c;
    }
    return r;
  }
  static bool graphics(const std::vector<Attribute> &list) {
    for (auto &a : list)
      if (kGraphics.count(a.name)) return true;
    return false;
  }
  void error(int token, std::string message) { p.errors.push_back({t.position(token), std::move(message)}); }

  int attribute(int i) {
    std::vector<Attribute> list;
    int end = read(i, list);
    const Attribute *constant = find(list, "function_constant");
    bool is_kernel = find(list, "kernel") != nullptr;
    int name = t.previous(i);
    t.remove(i, end);
    if (graphics(list)) return skip(end);
    if (is_kernel) {
      for (auto &a : list) pending.push_back(a);
      kernel(end);
    } else if (constant && t.at(t.next(end)) == ";") {
      function_constant(name, end, *constant);
    } else {
      for (auto &a : list) pending.push_back(a);
    }
    return end;
  }

  // Removes the function that the token at i belongs to, which runs in no dispatch. Returns its last token.
  int skip(int i) {
    int first = i, end = i;
    for (int b = t.previous(i); b >= 0 && t.at(b) != ";" && t.at(b) != "{" && t.at(b) != "}"; b = t.previous(b)) first = b;
    while (end < t.size() && t.at(end) != "(") end = t.next(is_attribute(end) ? t.match(end) : end);
    end = t.match(end);
    while (end >= 0 && end < t.size() && t.at(end) != "{" && t.at(end) != ";") end = t.next(end);
    if (t.at(end) == "{") end = t.match(end);
    if (end < 0 || end >= t.size()) return i;
    t.remove(first, end);
    pending.clear();
    return end;
  }

  // constant T name [[function_constant(n)]];  becomes a reference to a symbol that is defined when a kernel is built.
  void function_constant(int name, int end, const Attribute &a) {
    int first = name;
    while (t.previous(first) >= 0 && t.at(t.previous(first)) != ";" && t.at(t.previous(first)) != "}" && t.at(t.previous(first)) != "{") first = t.previous(first);
    FunctionConstant c;
    c.name = t.at(name);
    long index = -1;
    if (!evaluate(a.argument, index) || index < 0 || index > 65535) {
      error(a.argument_token, "'function_constant' attribute needs an index between 0 and 65535");
      return;
    }
    c.index = (int)index;
    bool constant = false;
    for (int k = first; k < name; k = t.next(k)) {
      const std::string &x = t.at(k);
      if (x == "constant") constant = true;
      else if (x == "static" || x == "constexpr") t.remove(k, k);
      else if (x != "const") c.type += (c.type.empty() || x == "::" ? "" : " ") + x;
    }
    if (!constant) error(name, "'function_constant' attribute only applies to variables in the constant address space");
    std::string n = std::to_string(c.index);
    t[first].before += "extern ";
    t[name].after += " __asm__(\"msl_constant_" + n + "\")";
    t[t.next(end)].after += " extern constant bool msl_is_set_" + c.name + " __asm__(\"msl_is_set_" + n + "\");";
    p.constants.push_back(c);
  }

  void is_defined(int i) {
    int open = t.next(i), name = t.next(open);
    if (t.at(open) != "(" || t.at(t.next(name)) != ")") return;
    asked.insert(t.at(name));
    t[i].text = "msl_is_set_" + t.at(name);
    t.remove(open, t.next(name));
  }

  // i: just before the rest of the declarator of a kernel function.
  void kernel(int i) {
    int before = t.previous(i);
    while (t.at(before) == "static" || t.at(before) == "inline" || t.at(before) == "constexpr") before = t.previous(before);
    bool is_template = t.at(before) == ">";
    int open = t.next(i);
    while (open < t.size() && t.at(open) != "(") {
      if (t.at(open) == ";" || t.at(open) == "{") return;
      if (is_attribute(open)) {
        int end = read(open, pending);
        t.remove(open, end);
        open = end;
      }
      open = t.next(open);
    }
    int name = t.previous(open), close = t.match(open);
    if (close < 0) return;
    KernelFunction f;
    f.name = qualified(t.at(name));
    f.position = t.position(name);
    if (const Attribute *a = find(pending, "max_total_threads_per_threadgroup")) f.max_threads = a->argument;
    const Attribute *host = find(pending, "host_name");
    std::string host_name = host ? unquote(host->argument) : t.at(name);
    parameters(open, close, f);
    int header = is_template ? t.previous(t.match_back(before)) : -1;
    if (!f.max_threads.empty() && header >= 0 && t.at(header) == "template") {
      // The expression may use the template's parameters: it becomes a function template beside the kernel.
      std::string helper = "msl_max_threads_" + t.at(name);
      t[header].before += t.join(header, before) + " constexpr unsigned " + helper + "() { return (" + f.max_threads + "); } ";
      f.max_threads_template = helper;
    }
    int index = (int)p.functions.size();
    p.functions.push_back(f);
    if (!is_template && t.at(t.next(close)) == "{") p.entries.push_back({host_name, f.name, "", index, f.position});
    pending.clear();
  }

  void parameters(int open, int close, KernelFunction &f) {
    std::set<int> used_buffers, used_memories;
    auto number = [](const std::string &s) {
      long v = -1;
      evaluate(s, v);
      return (int)v;
    };
    struct Unnumbered { size_t parameter; bool buffer; };
    std::vector<Unnumbered> unnumbered;
    for (int i = t.next(open); i < close;) {
      int last = i, name = -1;
      bool pointer = false, in_threadgroup = false;
      std::vector<Attribute> list;
      for (int k = i; k < close && t.at(k) != ","; k = t.next(k)) {
        if (is_attribute(k)) {
          int end = read(k, list);
          t.remove(k, end);
          k = end;
        } else if (t.at(k) == "(" || t.at(k) == "[" || t.at(k) == "{" || (t.at(k) == "<" && t.match(k) > 0)) {
          if (t.at(k) == "[") pointer = true;
          k = t.match(k);
        } else {
          if (t.at(k) == "*" || t.at(k) == "&") pointer = true;
          if (t.at(k) == "threadgroup") in_threadgroup = true;
          if (t.is_word(k)) name = k;
        }
        last = k;
      }
      if (name < 0) break;
      KernelParameter q;
      q.name = t.at(name);
      q.kind = 0;
      for (auto &a : list) {
        auto b = kBuiltIns.find(a.name);
        if (a.name == "buffer") q.kind = 'b', q.index = a.argument;
        else if (a.name == "threadgroup") q.kind = 't', q.index = a.argument;
        else if (b != kBuiltIns.end()) q.kind = b->second, q.index = "0";
        else if (kRefused.count(a.name)) error(name, "kernel parameter '" + q.name + "': [[" + a.name + "]] is not supported by the simulator");
        else if (a.name == "function_constant") q.active = a.argument;
        else error(name, "unknown attribute '" + a.name + "' on kernel parameter '" + q.name + "'");
      }
      if (!q.kind && !pointer) {
        error(name, "kernel parameter '" + q.name + "' has neither a resource nor an input attribute");
        q.kind = 'G', q.index = "0";
      } else if (!q.kind) {
        q.kind = in_threadgroup ? 't' : 'b';
        unnumbered.push_back({f.parameters.size(), !in_threadgroup});
      } else if (q.kind == 'b' && !q.index.empty()) {
        used_buffers.insert(number(q.index));
      } else if (q.kind == 't' && !q.index.empty()) {
        used_memories.insert(number(q.index));
      }
      f.parameters.push_back(q);
      i = t.next(last);
      if (t.at(i) == ",") i = t.next(i);
    }
    // Resources without an index get the lowest free one, in order.
    for (auto &u : unnumbered) {
      auto &used = u.buffer ? used_buffers : used_memories;
      int n = 0;
      while (used.count(n)) n++;
      used.insert(n);
      f.parameters[u.parameter].index = std::to_string(n);
    }
  }

  // template [[host_name("x")]] [[kernel]] void f<T>(...);  or  template [[host_name("x")]] [[kernel]] decltype(f<T>) f<T>;
  int instantiation(int i) {
    int end = i;
    while (end < t.size() && t.at(end) != ";") end = t.next(end);
    std::vector<Attribute> list;
    bool skipped = false;
    int name = -1;   // the template-id is the last `word <` or word outside brackets before '(' or ';'
    for (int k = t.next(i); k < end; k = t.next(k)) {
      if (is_attribute(k)) {
        k = read(k, list);
      } else if (t.at(k) == "vertex" || t.at(k) == "fragment") {
        skipped = true;
      } else if (t.at(k) == "decltype") {
        k = t.match(t.next(k));
      } else if (t.at(k) == "<") {
        k = t.match(k);
        if (k < 0) return end;
      } else if (t.at(k) == "(") {
        break;
      } else if (t.is_word(k) && t.at(t.previous(k)) != "::") {
        name = k;
      } else if (t.is_word(k)) {
        // part of a qualified name: `name` stays at its start
      }
    }
    if (skipped || graphics(list)) {
      t.remove(i, end);
      return end;
    }
    if (name < 0) return end;
    int last = name;
    while (t.at(t.next(last)) == "::") last = t.next(t.next(last));
    std::string base = t.at(last);
    std::string prefix = t.join(name, last);
    if (t.at(t.next(last)) == "<") last = t.match(t.next(last));
    int function = -1;
    for (size_t k = 0; k < p.functions.size(); k++) {
      const std::string &full = p.functions[k].name;
      if (full == qualified(prefix) || full == prefix || full.substr(full.rfind(':') + 1) == base) function = (int)k;
    }
    const Attribute *host = find(list, "host_name");
    std::string signature;
    if (int open = t.next(last); t.at(open) == "(" && t.at(last) != ">" && t.match(open) > 0) {
      for (int k = t.next(open); k < t.match(open); k = t.next(k))
        if (is_attribute(k)) t.remove(k, t.match(k));
      signature = t.join(open, t.match(open));
    }
    if (function >= 0)
      p.entries.push_back({host ? unquote(host->argument) : base, scoped_expression(name, last, function), signature, function, t.position(name)});
    if (function >= 0) t.remove(i, end);
    else {
      // An instantiation of something else: only its attributes go.
      for (int k = t.next(i); k < end; k = t.next(k))
        if (is_attribute(k)) t.remove(k, t.match(k));
    }
    return end;
  }
  std::string scoped_expression(int name, int last, int function) const {
    const std::string &full = p.functions[function].name;
    size_t colon = full.rfind("::");
    std::string id = t.join(name, last);
    return t.at(t.next(name)) == "::" || colon == std::string::npos ? id : full.substr(0, colon + 2) + id;
  }
};

}  // namespace

void read_attributes(Tokens &tokens, Program &program) { Reader(tokens, program).run(); }

void prepass(Tokens &tokens, Program &program) {
  read_attributes(tokens, program);
  check_restrictions(tokens, program);
  rewrite_pragmas(tokens);
  rewrite_member_qualifiers(tokens, program);
  rewrite_array_parameters(tokens);
  rewrite_threadgroup_variables(tokens);
  rewrite_boolean_vectors(tokens);
  rewrite_comparisons(tokens);
  rewrite_strings(tokens);
  rewrite_constructors(tokens);
}

namespace {

std::string max_threads(const KernelFunction &f, std::string expression) {
  if (f.max_threads.empty()) return "1024";
  if (f.max_threads_template.empty()) return f.max_threads;
  // ::ns::kernel<T> -> ::ns::msl_max_threads_kernel<T>()
  size_t angle = expression.find('<'), colon = expression.rfind("::", angle == std::string::npos ? angle : angle - 1);
  size_t start = colon == std::string::npos ? 0 : colon + 2;
  size_t length = (angle == std::string::npos ? expression.size() : angle) - start;
  return expression.replace(start, length, f.max_threads_template) + "()";
}

}  // namespace

std::string entry_code(const Program &program) {
  std::string code;
  for (size_t i = 0; i < program.entries.size(); i++) {
    const KernelEntry &e = program.entries[i];
    const KernelFunction &f = program.functions[e.function];
    std::string n = std::to_string(i), attributes, active;
    // Qualified, lest a kernel called `any` be taken for metal::any.
    std::string name = (e.expression.rfind("::", 0) == 0 ? "" : "::") + e.expression;
    for (size_t k = 0; k < f.parameters.size(); k++) {
      const KernelParameter &q = f.parameters[k];
      attributes += std::string(k ? ", " : "") + "::msl_attribute<'" + q.kind + "', (" + q.index + ")>";
      if (!q.active.empty()) active += " out[" + std::to_string(k) + "].active = (" + q.active + ");";
    }
    std::string list = "::msl_attributes<" + attributes + ">{}";
    code += "\n# " + std::to_string(e.position.line) + " \"" + e.position.file + "\"\n";
    std::string address = (e.signature.empty() ? "" : "(void (*)" + e.signature + ")") + "&" + name;
    code += "extern \"C\" void msl_entry_" + n + "() { ::msl_call(" + address + ", " + list + "); } ";
    code += "extern \"C\" void msl_reflect_" + n + "(::msl_argument *out, unsigned *max_threads) { ::msl_reflect(" + address + ", " + list + ", out);" + active +
            " *max_threads = " + max_threads(f, name) + "; }";
  }
  return code + "\n";
}

}  // namespace metalsim
