// constructors.cpp: vector constructors and casts, half and bfloat literals. See msl/construct.h for what they become.
#include <algorithm>
#include <cctype>
#include <map>
#include <set>

#include "prepass.h"

namespace metalsim {

bool is_scalar_type(const std::string &s) {
  static const std::set<std::string> types = {"bool", "char", "uchar", "short", "ushort", "int", "uint", "long", "ulong", "half", "bfloat", "float", "size_t", "ptrdiff_t",
                                              "int8_t", "uint8_t", "int16_t", "uint16_t", "int32_t", "uint32_t", "int64_t", "uint64_t", "void"};
  return types.count(s) > 0;
}

bool is_vector_type(const std::string &s) {
  static const std::set<std::string> types = [] {
    std::set<std::string> r;
    for (const char *e : {"bool", "char", "uchar", "short", "ushort", "int", "uint", "long", "ulong", "half", "bfloat", "float"})
      for (const char *n : {"2", "3", "4"}) r.insert(std::string(e) + n);
    for (const char *e : {"char", "uchar", "short", "ushort", "int", "uint", "half", "bfloat", "float", "long", "ulong"}) r.insert(std::string("packed_") + e + "4");
    return r;
  }();
  return types.count(s) > 0;
}

namespace {

bool is_keyword_before_expression(const std::string &s) { return s == "return" || s == "else" || s == "case" || s == "do"; }

class Rewriter {
 public:
  explicit Rewriter(Tokens &tokens) : t(tokens) {
    collect_names();
    collect_functions();
  }

  void run() {
    for (int i = t.next(-1); i < t.size(); i = t.next(i)) {
      scope(i);
      if (t[i].kind == TokenKind::number) literal(i);
      else if (t.at(i) == "static_cast") static_cast_(i);
      else if (t.at(i) == "(") cast(i), braces(i);
      else if (t.is_word(i)) constructor(i), variable(i);
    }
  }

 private:
  Tokens &t;
  std::set<std::string> names;   // template parameters and aliases: they may name a vector
  std::map<std::string, std::vector<std::vector<std::string>>> functions;   // parameters of each overload: the vector type, or ""
  std::vector<bool> blocks;      // of the braces around: whether statements are inside

  void collect_names() {
    for (int i = t.next(-1); i < t.size(); i = t.next(i)) {
      const std::string &x = t.at(i);
      if ((x == "typename" || x == "class") && (t.at(t.previous(i)) == "<" || t.at(t.previous(i)) == ",")) {
        int n = t.next(i);
        const std::string &after = t.at(t.next(n));
        if (t.is_word(n) && (after == "," || after == ">" || after == "=")) names.insert(t.at(n));
      } else if (x == "using" && t.at(t.next(t.next(i))) == "=") {
        names.insert(t.at(t.next(i)));
      } else if (x == "typedef") {
        int k = i;
        while (k < t.size() && t.at(k) != ";") k = t.at(k) == "{" ? t.next(t.match(k)) : t.next(k);
        if (t.is_word(t.previous(k))) names.insert(t.at(t.previous(k)));
      }
    }
    names.erase("");
  }

  void literal(int i) {
    const std::string &x = t.at(i);
    bool hex = x.size() > 1 && x[0] == '0' && (x[1] == 'x' || x[1] == 'X');
    if (hex && x.find('p') == std::string::npos && x.find('P') == std::string::npos) return;
    size_t suffix = 0;
    const char *type = nullptr;
    char last = x.back();
    if (last == 'h' || last == 'H') suffix = 1, type = "half";
    if ((last == 'f' || last == 'F') && x.size() > 2 && (x[x.size() - 2] == 'b' || x[x.size() - 2] == 'B')) suffix = 2, type = "bfloat";
    if (!type) {
      // Metal has no double. (Clang's flag for that is forgotten where templates are instantiated.)
      bool real = x.find_first_of(hex ? "pP" : ".eE") != std::string::npos;
      if (real && (std::isdigit((unsigned char)last) || last == '.')) t[i].text += "f";
      return;
    }
    std::string digits = x.substr(0, x.size() - suffix);
    bool real = digits.find_first_of(".eEpP") != std::string::npos;
    t[i].text = std::string("((") + type + ")" + digits + (real ? "f" : "") + ")";
  }

  // The last token of the type that starts at i if it may be a vector: float4, T, vec<T, 4>, typename A::T; else -1.
  int vector_type(int i) const {
    if (t.at(i) == "typename") i = t.next(i);
    if (t.at(i) == "::") i = t.next(i);
    bool qualified = false;
    while (t.is_word(i)) {
      int end = i;
      if (t.at(t.next(i)) == "<") {
        end = t.match(t.next(i));
        if (end < 0) return -1;
      }
      if (t.at(t.next(end)) == "::") {
        i = t.next(t.next(end));
        qualified = true;
        continue;
      }
      if (end == i) return is_vector_type(t.at(i)) || names.count(t.at(i)) || t.at(i) == "half" || t.at(i) == "bfloat" ? i : -1;
      return t.at(i) == "vec" || t.at(i) == "msl_bools" || (names.count(t.at(i)) && qualified) || names.count(t.at(i)) ? end : -1;
    }
    return -1;
  }

  // V(...)
  void constructor(int i) {
    int before = t.previous(i);
    if (t.at(before) == "::" || t.at(before) == "." || t.at(before) == "->" || t.at(before) == "typename") {
      if (t.at(before) != "typename") return;   // a qualified type was handled at its first word
    }
    int end = vector_type(i);
    if (end < 0 || t.at(t.next(end)) != "(") return;
    int open = t.next(end), close = t.match(open);
    if (close < 0) return;
    const std::string &b = t.at(before);
    bool typename_before = b == "typename";
    if (typename_before) before = t.previous(before);
    const std::string &p = t.at(before);
    if (t.is_word(before) && !is_keyword_before_expression(p)) return;
    bool vector = is_vector_type(t.at(end)) || t.at(i) == "vec" || t.at(end) == ">";
    if (!vector && (p == ";" || p == "{" || p == "}" || p == "~" || p == ":")) return;   // a class of that name
    // float4 (&x)[3], void (*)(...) are declarators.
    int inside = t.next(open);
    if ((t.at(inside) == "&" || t.at(inside) == "*") && (t.at(t.next(close)) == "[" || t.at(t.next(close)) == "(")) return;
    int first = typename_before ? t.previous(i) : i;
    t[first].before += vector ? "::msl_make<" : "::msl_construct<";
    t[end].after += ">";
  }

  void scope(int i) {
    if (t.at(i) == "}" && !blocks.empty()) blocks.pop_back();
    if (t.at(i) != "{") return;
    const std::string &p = t.at(t.previous(i));
    bool inside = !blocks.empty() && blocks.back();
    blocks.push_back(p == ")" || (inside && (!t.is_word(t.previous(i)) || is_keyword_before_expression(p))));
  }

  // V name(a, b); in a function: one argument clang takes itself.
  void variable(int i) {
    if (blocks.empty() || !blocks.back()) return;
    int end = vector_type(i);
    if (end < 0 || !(is_vector_type(t.at(end)) || (t.at(i) == "vec" && t.at(end) == ">"))) return;
    std::string type = t.join(i, end);
    for (int name = t.next(end); t.is_word(name);) {
      int open = t.next(name), close = t.at(open) == "(" ? t.match(open) : -1, commas = 0;
      if (close < 0) return;
      for (int k = t.next(open); k != close; k = t.next(k)) {
        if (t.at(k) == "(" || t.at(k) == "[" || t.at(k) == "{") k = t.match(k);
        if (t.at(k) == ",") commas++;
      }
      int first = t.next(open);
      bool prototype = is_address_space(t.at(first)) || t.at(first) == "const" || (t.is_word(first) && t.is_word(t.next(first)));
      if (!commas || prototype || (t.at(t.next(close)) != ";" && t.at(t.next(close)) != ",")) return;
      t[open].before += "= ::msl_make<" + type + ">";
      if (t.at(t.next(close)) != ",") return;
      name = t.next(t.next(close));
    }
  }

  // The first tokens of a list's elements; `close` ends the list that opens at `open`.
  std::vector<int> elements(int open, int close) const {
    std::vector<int> r;
    for (int i = t.next(open); i < close; i = t.next(i)) {
      r.push_back(i);
      for (; i < close && t.at(i) != ","; i = t.next(i))
        if (t.at(i) == "(" || t.at(i) == "[" || t.at(i) == "{" || t.at(i) == "<") i = std::max(i, t.match(i));
    }
    return r;
  }

  void collect_functions() {
    for (int open = t.next(-1); open < t.size(); open = t.next(open)) {
      int name = t.previous(open), close = t.at(open) == "(" ? t.match(open) : -1;
      if (close < 0 || !t.is_word(name)) continue;
      const std::string &result = t.at(t.previous(name)), &after = t.at(t.next(close));
      bool typed = (t.is_word(t.previous(name)) && !is_keyword_before_expression(result)) || result == ">" || result == "*" || result == "&";
      if (!typed || (after != "{" && after != ";")) continue;
      std::vector<std::string> types;
      for (int p : elements(open, close)) {
        while (is_address_space(t.at(p)) || t.at(p) == "const") p = t.next(p);
        int end = vector_type(p);
        types.push_back(end >= 0 && (is_vector_type(t.at(end)) || (t.at(p) == "vec" && is_scalar_type(t.at(t.next(t.next(p)))))) ? t.join(p, end) : "");
      }
      functions[t.at(name)].push_back(types);
    }
  }

  // f({a, b}) for a parameter that is a vector in every overload of f with that many parameters.
  void braces(int open) {
    int name = t.previous(open);
    if (t.at(name) == ">") name = t.previous(t.match_back(name));
    auto f = functions.find(t.at(name));
    int close = t.match(open);
    if (f == functions.end() || close < 0) return;
    std::vector<int> arguments = elements(open, close);
    for (size_t k = 0; k < arguments.size(); k++) {
      int brace = arguments[k];
      if (t.at(brace) != "{") continue;
      std::set<std::string> types;
      for (auto &parameters : f->second)
        if (parameters.size() == arguments.size()) types.insert(parameters[k]);
      if (types.size() != 1 || types.begin()->empty()) continue;
      t[t.match(brace)].text = ")";
      t[brace].before += "::msl_make<" + *types.begin() + ">";
      t[brace].text = "(";
    }
  }

  // (V)operand
  void cast(int open) {
    int type = t.next(open);
    int end = vector_type(type);
    if (end < 0) return;
    int close = t.next(end);
    if (t.at(close) != ")") return;
    int before = t.previous(open);
    const std::string &p = t.at(before);
    if (t.is_word(before) && !is_keyword_before_expression(p)) return;
    if (p == ")" || p == "]" || (p == ">" && t.match_back(before) >= 0 && t.is_word(t.previous(t.match_back(before))))) return;
    int last = operand_end(t.next(close));
    if (last < 0) return;
    t[open].before += "::msl_cast_to<" + t.join(type, end) + ">";
    t.remove(type, close);
    t[last].after += ")";
  }

  // The last token of the unary expression that starts at i, or -1 if none starts there.
  int operand_end(int i) const {
    static const std::set<std::string> prefix = {"+", "-", "!", "~", "*", "&", "++", "--"};
    while (prefix.count(t.at(i))) i = t.next(i);
    if (i >= t.size()) return -1;
    int last;
    if (t.at(i) == "(") {
      last = t.match(i);
      if (last < 0) return -1;
      // Another cast in front of its own operand.
      int after = t.next(last);
      bool type_inside = vector_type(t.next(i)) >= 0 && t.next(vector_type(t.next(i))) == last;
      bool builtin_inside = is_scalar_type(t.at(t.next(i))) || is_address_space(t.at(t.next(i))) || t.at(t.next(i)) == "const";
      if (type_inside || builtin_inside) {
        int inner = operand_end(after);
        if (inner >= 0) return inner;
      }
    } else if (t.is_word(i) || t.at(i) == "::") {
      if (t.at(i) == "const" || t.at(i) == "noexcept" || t.at(i) == "override" || t.at(i) == "final") return -1;
      if (t.at(i) == "::") i = t.next(i);
      last = i;
      for (;;) {
        int n = t.next(last);
        if (t.at(n) == "::") {
          last = t.next(n);
          if (t.at(last) == "template") last = t.next(last);
        } else if (t.at(n) == "<" && t.match(n) > 0 && is_template_call(n)) {
          last = t.match(n);
        } else {
          break;
        }
      }
    } else if (i < t.size() && const_cast<Tokens &>(t)[i].kind == TokenKind::number) {
      last = i;
    } else {
      return -1;
    }
    for (;;) {
      int n = t.next(last);
      const std::string &x = t.at(n);
      if (x == "(" || x == "[" || (x == "{" && t.at(last) == ">")) {
        last = t.match(n);
        if (last < 0) return -1;
      } else if (x == "." || x == "->") {
        last = t.next(n);
        if (t.at(last) == "template") last = t.next(last);
        int m = t.next(last);
        if (t.at(m) == "<" && t.match(m) > 0 && is_template_call(m)) last = t.match(m);
      } else if (x == "++" || x == "--") {
        last = n;
      } else {
        return last;
      }
    }
  }
  bool is_template_call(int open) const {
    const std::string &x = t.at(t.next(t.match(open)));
    return x == "(" || x == "::" || x == "{";
  }

  void static_cast_(int i) {
    int open = t.next(i), end = vector_type(t.next(open));
    if (t.at(open) != "<" || end < 0 || t.at(t.next(end)) != ">") return;
    t[i].text = "::msl_cast_to";
  }
};

}  // namespace

void rewrite_constructors(Tokens &tokens) { Rewriter(tokens).run(); }

}  // namespace metalsim
