// declarations.cpp: declarations that mean something else in MSL than in C++.
#include "prepass.h"

namespace metalsim {

bool is_address_space(const std::string &s) { return s == "device" || s == "threadgroup" || s == "constant" || s == "thread"; }

// `#pragma unroll (N)` with a macro in it has passed the preprocessor unexpanded.
void rewrite_pragmas(Tokens &t) {
  for (int i = 0; i < t.size(); i++) {
    Token &d = t[i];
    if (d.kind == TokenKind::directive && d.text.rfind("#pragma", 0) == 0 && d.text.find("unroll") != std::string::npos && d.text.find("clang") == std::string::npos) d.text = "#pragma unroll";
  }
}

// String literals live in the constant address space. Those of declarations stay what they are.
void rewrite_strings(Tokens &t) {
  std::vector<int> open;
  for (int i = t.next(-1); i < t.size(); i = t.next(i)) {
    const std::string &x = t.at(i);
    if (x == "(") open.push_back(i);
    if (x == ")" && !open.empty()) open.pop_back();
    if (t[i].kind != TokenKind::string || x[0] != '"') continue;
    const std::string &call = open.empty() ? t.at(t.previous(i)) : t.at(t.previous(open.back()));
    if (call == "asm" || call == "__asm__" || call == "__asm" || call == "volatile" || call == "static_assert" || call == "_Static_assert" || call == "extern" || call == "(" || call == "__attribute__") continue;
    if (t.next(i) < t.size() && t[t.next(i)].kind == TokenKind::string) continue;   // the last of several carries the suffix
    t[i].after += "_msl";
  }
}

// A parameter `constant T name[N]` is a pointer; clang would drop the address space of the decayed type.
void rewrite_array_parameters(Tokens &t) {
  for (int i = t.next(-1); i < t.size(); i = t.next(i)) {
    if (!is_address_space(t.at(i))) continue;
    int before = t.previous(i);
    if (t.at(before) == "const") before = t.previous(before);
    if (t.at(before) != "(" && t.at(before) != ",") continue;
    int bracket = -1, end = i;
    bool pointer = false;
    for (; end < t.size(); end = t.next(end)) {
      const std::string &x = t.at(end);
      if (x == "," || x == ")" || x == ";" || x == "{") break;
      if (x == "[" && bracket < 0) bracket = end;
      if (x == "*" || x == "&") pointer = true;
      if (x == "(" || x == "[" || (x == "<" && t.match(end) > 0)) end = t.match(end);
      if (end < 0) return;
    }
    if (bracket < 0 || pointer || (t.at(end) != "," && t.at(end) != ")") || t.previous(end) != t.match(bracket)) continue;
    int name = t.previous(bracket);
    if (!t.is_word(name)) continue;
    t[name].before += "*";
    t.remove(bracket, t.match(bracket));
  }
}

// `threadgroup float a[256];` in a function is one variable for the whole threadgroup: a static in a section of its own.
void rewrite_threadgroup_variables(Tokens &t) {
  for (int i = t.next(-1); i < t.size(); i = t.next(i)) {
    if (t.at(i) != "threadgroup") continue;
    int first = i;
    for (;;) {
      int before = t.previous(first);
      const std::string &x = t.at(before);
      if (x == "const" || x == "volatile" || x == "constexpr") first = before;
      else if (x == ")" && t.at(t.previous(t.match_back(before))) == "alignas") first = t.previous(t.match_back(before));
      else break;
    }
    const std::string &before = t.at(t.previous(first));
    if (before != ";" && before != "{" && before != "}") continue;
    bool variable = false;
    for (int k = t.next(i); k < t.size(); k = t.next(k)) {
      const std::string &x = t.at(k);
      if (x == "<" && t.match(k) > 0) k = t.match(k);
      else if ((x == "__attribute__" || x == "alignas") && t.match(t.next(k)) > 0) k = t.match(t.next(k));
      else if (x == "*" || x == "&" || x == "(") break;
      else if (x == ";" || x == "[" || x == "," || x == "=") {
        variable = true;
        break;
      }
    }
    if (variable) t[first].before += "MSL_THREADGROUP_VARIABLE ";
  }
}

}  // namespace metalsim
