// members.cpp: member functions overloaded on the address space of their object: `float f() const device { ... }`. C++ has
// no such qualifiers, but since C++23 the object can be a parameter: `float f(this const device S &msl_self)`, and that may
// name an address space. Its body, which speaks of members without an object, is an ordinary member function beside it.
#include <map>
#include <set>

#include "prepass.h"

namespace metalsim {

namespace {

bool is_space_word(const std::string &s) { return s == "device" || s == "threadgroup" || s == "constant"; }

class Members {
 public:
  Members(Tokens &tokens, Program &program) : t(tokens), p(program) {}

  void run() {
    std::vector<int> open;   // braces around the current token
    for (int i = t.next(-1); i < t.size(); i = t.next(i)) {
      if (t.at(i) == "{") open.push_back(i);
      if (t.at(i) == "}" && !open.empty()) open.pop_back();
      Member m;
      if (is_address_space(t.at(i)) && read(i, open.empty() ? -1 : open.back(), m)) members.push_back(m);
    }
    for (auto &m : members) {
      if (m.merged) rest(m);
      else if (t.at(m.qualifier) == "thread") t.remove(m.qualifier, m.qualifier);
      else rewrite(m);
    }
  }

 private:
  struct Member {
    int first, name, open, close, qualifier, last;   // `name`: its first token, `operator` of an operator
    int scope;                // brace of the class, -1 outside
    bool is_const, merged;    // merged: a constructor or conversion, of which one serves all spaces
    std::string key;          // what is declared, but for the address spaces
    std::string function, space;   // its name and parameters; its address space
  };
  Tokens &t;
  Program &p;
  std::vector<Member> members;
  std::map<std::string, std::string> kept;   // bodies of merged members

  // The first token of the member declaration that `i` is part of.
  int start(int i) const {
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
    return t.next(-1);
  }
  int end(int i) const {
    for (; i < t.size(); i = t.next(i)) {
      if (t.at(i) == ";") return i;
      if (t.at(i) == "(") i = t.match(i);
      if (t.at(i) == "{") {
        int close = t.match(i);
        if (close < 0) return i;
        // A member initialiser with braces goes on.
        if (t.at(t.next(close)) == "{" || t.at(t.next(close)) == ",") {
          i = close;
          continue;
        }
        return t.at(t.next(close)) == ";" ? t.next(close) : close;
      }
    }
    return t.size() - 1;
  }
  std::string class_name(int brace) const {
    for (int k = t.previous(brace); k >= 0; k = t.previous(k)) {
      const std::string &x = t.at(k);
      if (x == ";" || x == "}" || x == "{") return "";
      if (x == "struct" || x == "class" || x == "union") return t.at(t.next(k));
    }
    return "";
  }
  // Source text without address spaces.
  std::string plain(int first, int last) const {
    std::string r;
    for (int k = first; k <= last; k = t.next(k))
      if (!is_address_space(t.at(k)) && t.at(k) != "") r += (r.empty() ? "" : " ") + t.at(k);
    return r;
  }

  // Whether the address space at i qualifies a member function.
  bool read(int i, int scope, Member &m) const {
    int close = t.previous(i), after = t.next(i);
    m.is_const = t.at(close) == "const";
    if (m.is_const) close = t.previous(close);
    if (!m.is_const && t.at(after) == "const") {
      m.is_const = true;
      after = t.next(after);
    }
    const std::string &n = t.at(after);
    if (t.at(close) != ")" || !(n == "{" || n == ":" || n == ";" || n == "noexcept" || n == "=")) return false;
    m.close = close;
    m.open = t.match_back(close);
    m.qualifier = i;
    m.scope = scope;
    if (m.open < 0) return false;
    m.name = t.previous(m.open);
    bool conversion = false;
    if (!t.is_word(m.name) || t.at(t.previous(m.name)) == "operator") {   // operator[], operator(), operator T
      while (m.name >= 0 && t.at(m.name) != "operator") {
        if (t.at(m.name) == ";" || t.at(m.name) == "{") return false;
        m.name = t.previous(m.name);
      }
      conversion = t.is_word(t.next(m.name));
    }
    m.first = start(m.name);
    m.last = end(i);
    std::string owner = scope >= 0 ? class_name(scope) : "";
    bool constructor = t.at(m.name) == owner && !owner.empty();
    m.merged = constructor || conversion || t.at(t.previous(m.name)) == "~" || scope < 0 || owner.empty() || t.at(t.previous(m.name)) == "::";
    m.function = plain(m.name, m.close);
    m.space = t.at(i);
    m.key = std::to_string(scope) + ":" + plain(m.first, m.close) + (m.is_const ? " const" : "");
    return true;
  }

  // The first of the members that differ in their spaces only stays; the others must do the same.
  void rest(const Member &m) {
    int body = t.next(m.close);
    auto [it, fresh] = kept.try_emplace(m.key, plain(body, m.last));
    if (int other = fresh && m.scope >= 0 ? unqualified(m) : -1; other >= 0) {
      it->second = plain(t.next(other), end(other));
      fresh = false;
    }
    if (fresh) t.remove(m.qualifier, m.qualifier);
    else if (it->second == plain(body, m.last)) t.remove(m.first, m.last);
    else p.errors.push_back({t.position(m.qualifier), "constructors and conversions that do different things in different address spaces are not supported by the simulator"});
  }

  // The names in `template <...>` at `head`, for passing them on.
  std::string template_arguments(int head) const {
    std::string r;
    int open = t.next(head), depth = 0, word = -1;
    bool named = true;
    auto add = [&] {
      if (word >= 0 && named) r += (r.empty() ? "" : ", ") + t.at(word) + (t.at(t.previous(word)) == "..." ? "..." : "");
      word = -1;
      named = true;
    };
    for (int k = t.next(open); k < t.size(); k = t.next(k)) {
      const std::string &x = t.at(k);
      if (depth == 0 && (x == "," || x == ">")) {
        add();
        if (x == ">") break;
      } else if (x == "<") depth++;
      else if (x == ">") depth--;
      else if (x == "(") k = t.match(k);
      else if (x == "=" && depth == 0) {
        // The default is none of our business; a parameter without a name has no word of its own.
        named = word >= 0 && t.at(word) != "typename" && t.at(word) != "class" && !is_scalar_type(t.at(word));
        int d = 0;
        for (k = t.next(k); k < t.size(); k = t.next(k)) {
          if (t.at(k) == "<") d++;
          if (t.at(k) == "(") k = t.match(k);
          if (d == 0 && (t.at(k) == "," || t.at(k) == ">")) break;
          if (t.at(k) == ">") d--;
        }
        k = t.previous(k);
      } else if (depth == 0 && t.is_word(k)) word = k;
    }
    return r;
  }

  // Names of the parameters, for passing them on; those without get one.
  std::string arguments(int open, int close, int number) {
    std::string r;
    int word = -1, unnamed = 0, last = open, types = 0;
    bool over = false, pack = false;
    auto add = [&] {
      if (last == open) return;
      std::string name = types > 1 && word >= 0 ? t.at(word) : "";
      if (name.empty()) {
        name = "msl_unnamed" + std::to_string(number) + "_" + std::to_string(unnamed++);
        t[last].after += " " + name;
      }
      r += (r.empty() ? "" : ", ") + name + (pack ? "..." : "");
      word = -1, types = 0, over = pack = false, last = open;
    };
    for (int k = t.next(open); k < close; k = t.next(k)) {
      const std::string &x = t.at(k);
      if (x == ",") {
        add();
        continue;
      }
      if (x == "=" || x == "[") over = true;
      if (x == "..." && !over) pack = true;
      if (x == "<" && t.match(k) > 0) k = t.match(k), types += !over;
      else if (x == "(" || x == "[" || x == "{") k = t.match(k);
      else if (!over && t.is_word(k) && x != "const" && x != "volatile" && x != "typename" && !is_address_space(x)) word = k, types++;
      else if (!over && (x == "*" || x == "&")) types++, word = -1;
      if (!over) last = k;
    }
    add();
    return r;
  }

  // Whether the class has this function for `thread` or for no space in particular.
  bool has_thread_version(const Member &m) const {
    for (auto &o : members)
      if (o.key == m.key && o.space == "thread") return true;
    return unqualified(m) >= 0;
  }
  // The parameter list's end of the same function without an address space, or -1.
  int unqualified(const Member &m) const {
    int depth = 0;
    for (int k = t.next(m.scope); k < t.size(); k = t.next(k)) {
      if (t.at(k) == "{") depth++;
      if (t.at(k) == "}" && depth-- == 0) break;
      if (depth || t.at(k) != t.at(m.name) || k == m.name || !t.is_word(k)) continue;
      int open = k;
      while (open < t.size() && t.at(open) != "(") open = t.next(open);
      if (t.at(k) == "operator" && t.at(t.next(k)) == "(") open = t.next(t.next(open));
      int close = t.match(open);
      if (close < 0 || plain(k, close) != m.function) continue;
      int after = t.next(close);
      bool is_const = t.at(after) == "const";
      if (is_const) after = t.next(after);
      bool qualified = is_address_space(t.at(after));
      for (auto &o : members) qualified |= o.close == close;
      if (is_const == m.is_const && !qualified) return close;
    }
    return -1;
  }

  void rewrite(const Member &m) {
    static int counter = 0;
    int number = counter++;
    if (t.at(t.previous(m.last)) != "}" && t.at(m.last) != "}") {   // only declared
      p.errors.push_back({t.position(m.qualifier), "a member function of the '" + t.at(m.qualifier) + "' address space that is defined outside its class is not supported by the simulator"});
      return;
    }
    p.object_parameters = true;
    std::string space = m.space, helper = "msl_" + space + "_" + std::to_string(number), result, head, targs;
    int type = m.first;
    while (t.at(type) == "template") {
      int open = t.next(type), depth = 0, k = open;
      for (; k < t.size(); k = t.next(k)) {
        if (t.at(k) == "<") depth++;
        if (t.at(k) == "(") k = t.match(k);
        if (t.at(k) == ">" && --depth == 0) break;
      }
      targs = template_arguments(type);
      head += t.join(type, k) + " ";
      type = t.next(k);
    }
    bool refers = false;   // to its own address space
    for (int k = type; k < m.name; k = t.next(k))
      if (is_space_word(t.at(k))) refers = true;
    std::string passed = arguments(m.open, m.close, number), parameters = t.join(t.next(m.open), m.close);
    parameters.pop_back();
    std::string call = std::string(targs.empty() ? "" : "template ") + helper + (targs.empty() ? "" : "<" + targs + ">") + "(" + passed + ")";
    std::string declared = t.join(type, t.previous(m.open)), wrapper, cast;
    if (refers) {
      for (int k = type; k < m.name; k = t.next(k))
        if (const std::string &x = t.at(k); x != "constexpr" && x != "inline" && x != "static" && x != "METAL_FUNC" && x != "METAL_INTERNAL") cast += x + " ";
      cast = "(" + cast + ")";
    }
    auto wrap = [&](bool as_const) {
      wrapper += head + declared + "(this " + (as_const ? "const " : "") + (space == "constant" ? "MSL_CONSTANT_SPACE" : space) + " " + class_name(m.scope) + " &msl_self" + (passed.empty() ? "" : ", ") + parameters +
                 ") { return " + cast + "msl_self." + call + "; } ";
    };
    wrap(m.is_const || space == "constant");
    // Lest constness outweigh the address space in overload resolution.
    bool own_version = false;
    for (auto &o : members) own_version |= o.scope == m.scope && !o.is_const && o.space == space && o.function == m.function;
    if (m.is_const && space != "constant" && !own_version) wrap(false);
    // Objects whose space is not known (members of an object inside its member functions) are `thread` ones here.
    bool fallback = !has_thread_version(m) && generic.insert(m.key).second;
    for (int k = type; k < m.name; k = t.next(k))
      if (is_address_space(t.at(k))) t.remove(k, k);
    if (fallback) wrapper += head + t.join(type, t.previous(m.open)) + "(" + parameters + ")" + (m.is_const ? " const" : "") + " { return this->" + call + "; } ";
    t.remove(t.next(m.name), t.previous(m.open));
    t[m.name].text = helper;
    t.remove(m.qualifier, m.qualifier);
    t[m.first].before = wrapper + t[m.first].before;
  }
  std::set<std::string> generic;   // members that have a version for any space
};

}  // namespace

void rewrite_member_qualifiers(Tokens &t, Program &p) { Members(t, p).run(); }

}  // namespace metalsim
