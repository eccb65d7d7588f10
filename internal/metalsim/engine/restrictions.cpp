// restrictions.cpp: what Apple's compiler refuses and clang would take (MSL 1.4.4 and chapter 4). Recursion and implicit
// conversions to bfloat need more than tokens: they are found in what clang emits (frontend.cpp, module.cpp).
#include <map>
#include <set>

#include "prepass.h"

namespace metalsim {

namespace {

const std::map<std::string, std::string> kRefusedWords = {
    {"double", "'double' is not supported in Metal"},
    {"goto", "'goto' is not supported in Metal"},
    {"throw", "C++ exceptions are not supported in Metal"},
    {"try", "C++ exceptions are not supported in Metal"},
    {"dynamic_cast", "'dynamic_cast' is not supported in Metal"},
    {"typeid", "'typeid' is not supported in Metal"},
    {"virtual", "virtual functions are not supported in Metal"},
    {"new", "'new' is not supported in Metal"},
    {"delete", "'delete' is not supported in Metal"},
    {"thread_local", "thread-local storage is not supported in Metal"},
    {"register", "the 'register' storage class is not supported in Metal"},
};

class Checker {
 public:
  Checker(const Tokens &tokens, Program &program) : t(tokens), p(program) {}

  void run() {
    collect_types();
    for (int i = t.next(-1); i < t.size(); i = t.next(i)) {
      const std::string &x = t.at(i);
      auto refused = kRefusedWords.find(x);
      const std::string &before = t.at(t.previous(i));
      if (refused != kRefusedWords.end() && t.is_word(i) && before != "." && before != "->" && !(x == "delete" && before == "=")) error(i, refused->second);
      if (x == "(") parameters(i);
      if (x == "(" || x == ";" || x == "{" || x == "}") declaration_or_cast(i);
    }
  }

 private:
  const Tokens &t;
  Program &p;
  std::set<std::string> types;   // struct and alias names and template parameters

  void error(int i, std::string message) { p.errors.push_back({t.position(i), std::move(message)}); }

  void collect_types() {
    for (int i = t.next(-1); i < t.size(); i = t.next(i)) {
      const std::string &x = t.at(i);
      if ((x == "struct" || x == "typename" || x == "class" || x == "union") && t.is_word(t.next(i))) types.insert(t.at(t.next(i)));
      if (x == "using" && t.at(t.next(t.next(i))) == "=") {
        // An alias of a pointer type carries its own address space.
        int k = i;
        bool pointer = false;
        while (k < t.size() && t.at(k) != ";") {
          if (t.at(k) == "*") pointer = true;
          k = t.next(k);
        }
        if (!pointer) types.insert(t.at(t.next(i)));
      }
    }
  }
  bool is_type(int i) const { return t.is_word(i) && (is_scalar_type(t.at(i)) || is_vector_type(t.at(i)) || types.count(t.at(i))); }

  // `[const] type [const] * or &` from i on without an address space: the token of the * or &, else -1.
  int bare_pointer(int i) const {
    while (t.at(i) == "const" || t.at(i) == "volatile" || t.at(i) == "struct" || t.at(i) == "typename" || t.at(i) == "unsigned" || t.at(i) == "static" || t.at(i) == "constexpr" || t.at(i) == "inline") i = t.next(i);
    if (!is_type(i)) return -1;
    int k = t.next(i);
    if (t.at(k) == "<") {
      k = t.match(k);
      if (k < 0) return -1;
      k = t.next(k);
    }
    while (t.at(k) == "const" || t.at(k) == "volatile") k = t.next(k);
    return t.at(k) == "*" || t.at(k) == "&" ? k : -1;
  }
  void report(int pointer) {
    error(pointer, t.at(pointer) == "*" ? "pointer type must have explicit address space qualifier" : "reference type must have explicit address space qualifier");
  }

  // Parameter lists of functions: `type name ( ... ) {`.
  void parameters(int open) {
    int close = t.match(open);
    if (close < 0) return;
    int name = t.previous(open);
    static const std::set<std::string> control = {"if", "for", "while", "switch", "return", "sizeof", "alignof", "decltype", "alignas", "constexpr", "static_assert"};
    if (!t.is_word(name) || control.count(t.at(name))) return;
    const std::string &after = t.at(t.next(close));
    int type = t.previous(name);
    bool typed = (t.is_word(type) && t.at(type) != "return" && t.at(type) != "else" && t.at(type) != "case") || t.at(type) == ">" || t.at(type) == "*" || t.at(type) == "&";
    if (!(after == "{" || (after == ";" && typed && t.is_word(type)) || after == "const") || !typed) return;
    for (int i = t.next(open); i < close;) {
      int pointer = bare_pointer(i);
      if (pointer >= 0 && pointer < close) {
        int n = t.next(pointer);
        while (t.at(n) == "const" || t.at(n) == "restrict" || t.at(n) == "__restrict") n = t.next(n);
        const std::string &end = t.at(t.is_word(n) ? t.next(n) : n);
        if (end == "," || end == ")" || end == "=" || end == "[") report(pointer);
      }
      while (i < close && t.at(i) != ",") i = t.at(i) == "(" || t.at(i) == "[" || t.at(i) == "{" || (t.at(i) == "<" && t.match(i) > 0) ? t.next(t.match(i)) : t.next(i);
      i = t.next(i);
    }
  }

  // `float *p = x;` at the start of a statement, and the cast `(float *)x`.
  void declaration_or_cast(int i) {
    int pointer = bare_pointer(t.next(i));
    if (pointer < 0) return;
    int n = t.next(pointer);
    if (t.at(i) == "(") {
      int before = t.previous(i);
      bool call = t.is_word(before) && t.at(before) != "return";
      if (t.at(n) == ")" && !call && t.at(before) != ">" && t.at(before) != ")") report(pointer);
      return;
    }
    while (t.at(n) == "const") n = t.next(n);
    const std::string &end = t.at(t.next(n));
    if (t.is_word(n) && (end == "=" || end == ";" || end == ",")) report(pointer);
  }
};

}  // namespace

void check_restrictions(const Tokens &tokens, Program &program) { Checker(tokens, program).run(); }

}  // namespace metalsim
