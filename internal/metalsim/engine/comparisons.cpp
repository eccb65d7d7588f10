// comparisons.cpp: a tag in each comparison (see msl/compare.h). What is hard is to tell a comparison from a template's
// argument list: that takes the names of all templates.
#include <set>

#include "prepass.h"

namespace metalsim {

namespace {

class Tagger {
 public:
  explicit Tagger(Tokens &tokens) : t(tokens) {}

  void run() {
    collect();
    for (int i = t.next(-1); i < t.size(); i = t.next(i)) tag(i);
  }

 private:
  Tokens &t;
  // Those of the headers that kernels write with arguments.
  std::set<std::string> templates = {"vec",       "packed_vec", "msl_bools",      "matrix",         "array",       "uniform",       "atomic",       "_atomic",     "as_type",
                                     "bool_constant", "integral_constant", "conditional", "conditional_t", "enable_if", "enable_if_t", "numeric_limits", "simdgroup_matrix",
                                     "make_filled_simdgroup_matrix", "make_diagonal_simdgroup_matrix", "static_cast", "reinterpret_cast", "const_cast", "template",
                                     "msl_make",  "msl_construct", "msl_cast_to", "texture1d", "texture2d", "texture3d", "texture_buffer", "vec_elements", "_disjunction",
                                     "_numeric_limits_impl", "__is_valid_simdgroup_type"};
  std::set<int> closers;   // the '>' of argument lists

  bool is_template_name(int i) const {
    const std::string &x = t.at(i);
    if (!t.is_word(i)) return false;
    if (templates.count(x) || t.at(t.previous(i)) == "template") return true;
    // Type traits.
    for (const char *prefix : {"is_", "make_", "remove_", "add_"})
      if (x.rfind(prefix, 0) == 0) return true;
    return x.size() > 2 && x.substr(x.size() - 2) == "_t";
  }

  // The end of the argument list that starts at '<', or -1: the first '>' that no list inside it has taken.
  int list_end(int open) {
    for (int k = t.next(open); k < t.size(); k = t.next(k)) {
      const std::string &x = t.at(k);
      if (x == ">") return k;
      if (x == "<" && is_template_name(t.previous(k))) k = list_end(k);
      else if (x == "(" || x == "[" || x == "{") k = t.match(k);
      else if (x == ";" || x == ")" || x == "]" || x == "}") return -1;
      if (k < 0) return -1;
    }
    return -1;
  }

  void collect() {
    for (int i = t.next(-1); i < t.size(); i = t.next(i)) {
      if (t.at(i) != "template" || t.at(t.next(i)) != "<") continue;
      int end = list_end(t.next(i));
      if (end < 0) continue;
      for (int k = t.next(i); k < end; k = t.next(k))   // template parameters that are templates
        if (t.at(k) == "template" && t.at(t.next(k)) == "<") {
          int inner = list_end(t.next(k)), name = t.next(t.next(inner));
          if (inner > 0 && t.is_word(name)) templates.insert(t.at(name));
        }
      // The declared name is the last word in front of the first token that ends a name.
      int name = -1;
      for (int k = t.next(end); k < t.size(); k = t.next(k)) {
        const std::string &x = t.at(k);
        if (x == "template") break;
        if (x == "<" && name >= 0 && list_end(k) > 0) k = list_end(k);
        else if (x == "(" && (t.at(t.previous(k)) == "decltype" || t.at(t.previous(k)) == "__attribute__" || t.at(t.previous(k)) == "alignas")) k = t.match(k);
        else if (x == "(" || x == ";" || x == "{" || x == "=" || x == ":") break;
        else if (t.is_word(k)) name = k;
        if (k < 0) break;
      }
      if (name >= 0 && t.at(t.previous(name)) != "operator") templates.insert(t.at(name));
    }
  }

  // Whether '<' opens an argument list.
  bool opens_list(int i) {
    int before = t.previous(i);
    if (t.at(before) == "operator") return true;
    if (!t.is_word(before)) return false;
    if (is_template_name(before)) {
      int end = list_end(i);
      if (end < 0) return false;
      closers.insert(end);
      return true;
    }
    // A name that is not known, as in name<float, 4>(x).
    int end = t.match(i);
    if (end < 0 || (t.at(t.next(end)) != "(" && t.at(t.next(end)) != "::" && t.at(t.next(end)) != "{")) return false;
    for (int k = t.next(i); k < end; k = t.next(k))
      if (!t.is_word(k) && t[k].kind != TokenKind::number && t.at(k) != "," && t.at(k) != "::" && t.at(k) != "*" && t.at(k) != "<" && t.at(k) != ">") return false;
    closers.insert(end);
    return true;
  }

  void tag(int i) {
    const std::string x = t.at(i);
    const char *name = x == "<" ? "less" : x == ">" ? "greater" : x == "<=" ? "less_equal" : x == ">=" ? "greater_equal" : x == "==" ? "equal" : x == "!=" ? "unequal" : nullptr;
    if (!name || t.at(t.previous(i)) == "operator") return;
    if (x == "<" && opens_list(i)) return;
    if (x == ">") {
      // ">>" and ">>=" are two tokens.
      int after = t.next(i), before = t.previous(i);
      if (closers.count(i)) return;
      if (after < t.size() && t[after].space.empty() && (t.at(after) == ">" || t.at(after) == ">=")) return;
      if (t.at(before) == ">" && t[i].space.empty() && !closers.count(before)) return;
    }
    if (x == ">=" && t.at(t.previous(i)) == ">" && t[i].space.empty() && !closers.count(t.previous(i))) return;
    t[i].after += std::string(" ::msl_") + name + "() " + (x == "<" ? ">" : x == ">" ? ">" : x);
  }
};

}  // namespace

// vec<bool, N> is a class here.
void rewrite_boolean_vectors(Tokens &t) {
  for (int i = t.next(-1); i < t.size(); i = t.next(i)) {
    int open = t.next(i), element = t.next(open), comma = t.next(element);
    if (t.at(i) != "vec" || t.at(open) != "<" || t.at(element) != "bool" || t.at(comma) != ",") continue;
    t[i].text = "msl_bools";
    t.remove(element, comma);
  }
}

void rewrite_comparisons(Tokens &tokens) { Tagger(tokens).run(); }

}  // namespace metalsim
