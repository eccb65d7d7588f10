// declarations.cpp: declarations that mean something else in MSL than in C++.
#include <map>

#include "prepass.h"

namespace metalsim {

bool is_address_space(const std::string &s) { return s == "device" || s == "threadgroup" || s == "constant" || s == "thread"; }

namespace {

// The first token of the member declaration that `i` is part of.
int member_start(const Tokens &t, int i) {
  int depth = 0;
  for (int k = t.previous(i); k >= 0; k = t.previous(k)) {
    const std::string &x = t.at(k);
    if (x == ")" || x == "]") depth++;
    else if (x == "(" || x == "[") {
      if (--depth < 0) return t.next(k);
    } else if (depth == 0) {
      if (x == ";" || x == "{" || x == "}") return t.next(k);
      if (x == ":") {
        const std::string &before = t.at(t.previous(k));
        if (before == "public" || before == "private" || before == "protected") return t.next(k);
      }
    }
  }
  return 0;
}

int member_end(const Tokens &t, int i) {
  for (; i < t.size(); i = t.next(i)) {
    if (t.at(i) == ";") return i;
    if (t.at(i) == "(") i = t.match(i);
    if (t.at(i) == "{") {
      int end = t.match(i);
      if (end < 0) return i;
      return t.at(t.next(end)) == ";" ? t.next(end) : end;
    }
  }
  return t.size() - 1;
}

}  // namespace

// `#pragma unroll (N)` with a macro in it has passed the preprocessor unexpanded.
void rewrite_pragmas(Tokens &t) {
  for (int i = 0; i < t.size(); i++) {
    Token &d = t[i];
    if (d.kind == TokenKind::directive && d.text.rfind("#pragma", 0) == 0 && d.text.find("unroll") != std::string::npos && d.text.find("clang") == std::string::npos) d.text = "#pragma unroll";
  }
}

// MSL overloads member functions on the address space of the object: `float f() const device { ... }`. Here one of them
// serves all spaces: the `thread` one if there is one, else the first.
void rewrite_member_qualifiers(Tokens &t) {
  struct Member {
    int first, last, qualifier;
    bool in_thread;
  };
  std::map<std::string, std::vector<Member>> members;
  std::vector<std::string> order;
  std::vector<int> open;   // braces around the current token
  for (int i = t.next(-1); i < t.size(); i = t.next(i)) {
    if (t.at(i) == "{") open.push_back(i);
    if (t.at(i) == "}" && !open.empty()) open.pop_back();
    if (!is_address_space(t.at(i))) continue;
    int close = t.previous(i);
    bool is_const = t.at(close) == "const";
    if (is_const) close = t.previous(close);
    int after = t.next(i);
    if (!is_const && t.at(after) == "const") {
      is_const = true;
      after = t.next(after);
    }
    const std::string &n = t.at(after);
    if (t.at(close) != ")" || !(n == "{" || n == ":" || n == ";" || n == "noexcept" || n == "=")) continue;
    int params = t.match_back(close);
    if (params < 0) continue;
    int name = t.previous(params);
    std::string key = std::to_string(open.empty() ? -1 : open.back()) + ":" + t.at(t.previous(name)) + " " + t.join(name, close) + (is_const ? " const" : "");
    if (t.at(t.previous(name)) != "operator") key = std::to_string(open.empty() ? -1 : open.back()) + ":" + t.join(name, close) + (is_const ? " const" : "");
    if (!members.count(key)) order.push_back(key);
    members[key].push_back({member_start(t, name), member_end(t, i), i, t.at(i) == "thread"});
  }
  for (auto &key : order) {
    auto &list = members[key];
    size_t keep = 0;
    for (size_t k = 0; k < list.size(); k++)
      if (list[k].in_thread) {
        keep = k;
        break;
      }
    for (size_t k = 0; k < list.size(); k++) {
      if (k == keep) t.remove(list[k].qualifier, list[k].qualifier);
      else t.remove(list[k].first, list[k].last);
    }
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
