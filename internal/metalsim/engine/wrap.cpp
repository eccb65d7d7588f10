#include "wrap.h"

#include <algorithm>
#include <cctype>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "msl/abi.h"

namespace metalsim {

namespace {

using std::string;
using std::string_view;
constexpr size_t npos = string_view::npos;

bool starts_with(string_view s, string_view prefix) { return s.substr(0, prefix.size()) == prefix; }

// "%x" at `at`, or "".
string_view value_at(string_view s, size_t at) {
  if (at >= s.size() || s[at] != '%') return {};
  size_t n = at + 1;
  while (n < s.size() && (std::isalnum((unsigned char)s[n]) || s[n] == '_' || s[n] == '.' || s[n] == '$' || s[n] == '-')) n++;
  return s.substr(at, n - at);
}

class Watcher {
 public:
  explicit Watcher(string_view body) {
    for (size_t i = 0; i < body.size();) {
      size_t n = std::min(body.find('\n', i), body.size());
      lines.push_back(body.substr(i, n - i));
      i = n + 1;
    }
  }

  string run(string_view body, bool &multiplies) {
    if (body.find(" = mul i32 ") == npos) return string(body);
    read();
    find_addresses();
    find_flagged();
    if (flagged.empty()) return string(body);
    multiplies = true;
    return write();
  }

 private:
  std::vector<string_view> lines;
  std::unordered_map<string_view, size_t> definition;           // of a value
  std::unordered_set<string_view> variables;                    // allocas that are only loaded and stored
  std::unordered_map<string_view, std::vector<size_t>> stores;  // to a variable
  std::unordered_set<string_view> address;                      // values and variables that an address is made of
  std::unordered_set<string_view> flagged;                      // those that a product may reach

  static string_view result(string_view l) {
    string_view name = value_at(l, 2);
    return !name.empty() && l.substr(2 + name.size(), 3) == " = " ? name : string_view();
  }
  static string_view operation(string_view l) {
    string_view name = result(l);
    return l.substr(name.empty() ? std::min<size_t>(2, l.size()) : 2 + name.size() + 3);
  }
  static std::vector<string_view> operands(string_view op) {
    std::vector<string_view> r;
    op = op.substr(0, op.find(", !"));
    for (size_t i = op.find('%'); i != npos; i = op.find('%', i + 1))
      if (string_view v = value_at(op, i); v.size() > 1) r.push_back(v);
    return r;
  }
  // The pointer operand of a load or store.
  static string_view pointer(string_view op) {
    size_t at = op.find(", ptr ");
    if (at == npos) return {};
    at += 6;
    if (starts_with(op.substr(at), "addrspace(")) at = op.find(") ", at) + 2;
    return value_at(op, at);
  }
  static string_view stored(string_view op) { return value_at(op, op.find('%')); }

  void read() {
    for (size_t i = 0; i < lines.size(); i++) {
      string_view name = result(lines[i]);
      if (name.empty()) continue;
      definition[name] = i;
      string_view op = operation(lines[i]);
      if (starts_with(op, "alloca i") || starts_with(op, "alloca ptr")) variables.insert(name);
    }
    for (size_t i = 0; i < lines.size(); i++) {
      string_view op = operation(lines[i]);
      if (starts_with(op, "alloca ")) continue;
      bool load = starts_with(op, "load "), store = starts_with(op, "store ");
      string_view p = load || store ? pointer(op) : string_view();
      if (store && variables.count(p)) stores[p].push_back(i);
      bool seen = false;
      for (auto v : operands(op)) {
        if ((load || store) && v == p && !seen) {
          seen = true;
          continue;
        }
        variables.erase(v);
      }
    }
  }

  // What the value of this instruction is made of, as far as an index is; false: something else.
  static bool passes(string_view op) {
    static const char *const words[] = {"getelementptr ", "zext ", "sext ", "trunc ", "add ", "sub ", "mul ", "udiv ", "sdiv ", "phi ", "select ", "addrspacecast ", "extractvalue "};
    for (const char *w : words)
      if (starts_with(op, w)) return true;
    return starts_with(op, "call { i") && op.find(".with.overflow.") != npos;
  }

  void find_addresses() {
    std::vector<string_view> work;
    auto add = [&](string_view v) {
      if (!v.empty() && address.insert(v).second) work.push_back(v);
    };
    for (auto l : lines) {
      string_view op = operation(l);
      if (!starts_with(op, "load ") && !starts_with(op, "store ")) continue;
      string_view p = pointer(op);
      if (!variables.count(p)) add(p);
    }
    while (!work.empty()) {
      string_view v = work.back();
      work.pop_back();
      if (variables.count(v)) {
        for (size_t i : stores[v]) add(stored(operation(lines[i]).substr(0, operation(lines[i]).find(", ptr"))));
        continue;
      }
      auto d = definition.find(v);
      if (d == definition.end()) continue;
      string_view op = operation(lines[d->second]);
      if (starts_with(op, "load ")) {
        if (string_view p = pointer(op); variables.count(p)) add(p);
      } else if (passes(op)) {
        for (auto o : operands(op)) add(o);
      }
    }
  }

  void find_flagged() {
    for (size_t before = ~0ul; before != flagged.size();) {
      before = flagged.size();
      for (auto l : lines) {
        string_view name = result(l), op = operation(l);
        if (starts_with(op, "store ")) {
          string_view p = pointer(op), v = stored(op.substr(0, op.find(", ptr")));
          if (variables.count(p) && flagged.count(v)) flagged.insert(p);
        } else if (name.empty() || !address.count(name)) {
          continue;
        } else if (starts_with(op, "mul i32 ")) {
          flagged.insert(name);
        } else if (starts_with(op, "load ")) {
          if (flagged.count(pointer(op)) && variables.count(pointer(op))) flagged.insert(name);
        } else if (passes(op)) {
          for (auto o : operands(op))
            if (flagged.count(o)) flagged.insert(name);
        }
      }
    }
  }

  static string flag(string_view v) { return "%msl.f." + string(v.substr(1)); }

  string write() {
    string out;
    int fresh = 0;
    bool allocas = true;
    std::vector<string_view> cleared;
    for (size_t i = 0; i < lines.size(); i++) {
      string_view l = lines[i], name = result(l), op = operation(l);
      if (allocas && starts_with(op, "alloca ")) {
        (out += l) += '\n';
        if (variables.count(name) && flagged.count(name)) {
          out += "  " + flag(name) + " = alloca i8, align 1\n";
          cleared.push_back(name);
        }
        continue;
      }
      if (allocas && l.size() > 2 && l[0] == ' ') {
        allocas = false;
        for (auto v : cleared) out += "  store i8 0, ptr " + flag(v) + ", align 1\n";
      }
      if (starts_with(op, "store ")) {
        string_view p = pointer(op), v = stored(op.substr(0, op.find(", ptr")));
        if (variables.count(p) && flagged.count(p)) {
          string bit = "%msl.s." + std::to_string(fresh++);
          if (flagged.count(v)) out += "  " + bit + " = zext i1 " + flag(v) + " to i8\n";
          out += "  store i8 " + (flagged.count(v) ? bit : "0") + ", ptr " + flag(p) + ", align 1\n";
        }
      }
      if ((starts_with(op, "load ") || starts_with(op, "store ")) && flagged.count(pointer(op)) && !variables.count(pointer(op))) {
        size_t dbg = l.rfind(", !dbg !");
        out += "  call void @msl_undefined_if(i1 noundef zeroext " + flag(pointer(op)) + ", i32 noundef " + std::to_string(MSL_BAD_WRAP) + ", i32 noundef 0)" + string(dbg == npos ? "" : l.substr(dbg)) + "\n";
      }
      if (name.empty() || !flagged.count(name) || variables.count(name)) {
        (out += l) += '\n';
        continue;
      }
      string f = flag(name);
      if (starts_with(op, "load ")) {
        (out += l) += '\n';
        out += "  " + f + ".m = load i8, ptr " + flag(pointer(op)) + ", align 1\n  " + f + " = trunc i8 " + f + ".m to i1\n";
      } else if (starts_with(op, "phi ")) {
        (out += l) += '\n';
        out += "  " + f + " = phi i1 ";
        bool first = true;
        for (size_t b = op.find('['); b != npos; b = op.find('[', b + 1)) {
          size_t comma = op.find(", ", b), end = op.find(']', b);
          string_view v = value_at(op, op.find_first_not_of(' ', b + 1));
          out += string(first ? "[ " : ", [ ") + (flagged.count(v) ? flag(v) : "false") + string(op.substr(comma, end - comma)) + "]";
          first = false;
        }
        out += '\n';
      } else {
        if (starts_with(op, "mul i32 ")) {
          string_view rest = op.substr(8);
          size_t comma = rest.find(", "), end = rest.find(", !");
          string a(rest.substr(0, comma)), b(rest.substr(comma + 2, end == npos ? npos : end - comma - 2));
          out += "  " + f + ".w = call { i32, i1 } @llvm.umul.with.overflow.i32(i32 " + a + ", i32 " + b + ")\n";
          out += "  " + string(name) + " = extractvalue { i32, i1 } " + f + ".w, 0\n  " + f + ".v = extractvalue { i32, i1 } " + f + ".w, 1\n";
          // (k - 1) * n, for k = 0, is as good as a negative number.
          out += "  " + f + ".x = call { i32, i1 } @llvm.smul.with.overflow.i32(i32 " + a + ", i32 " + b + ")\n  " + f + ".y = extractvalue { i32, i1 } " + f + ".x, 1\n  " + f + ".o = and i1 " + f + ".v, " + f + ".y\n";
        } else {
          (out += l) += '\n';
          out += "  " + f + ".o = or i1 false, false\n";
        }
        string sum = f + ".o";
        int k = 0;
        for (auto o : operands(op))
          if (flagged.count(o) && o != name) {
            string next = f + ".p" + std::to_string(k++);
            out += "  " + next + " = or i1 " + sum + ", " + flag(o) + "\n";
            sum = next;
          }
        out += "  " + f + " = or i1 " + sum + ", false\n";
      }
    }
    return out;
  }
};

}  // namespace

string watch_wrapping(string_view body, bool &multiplies) { return Watcher(body).run(body, multiplies); }

}  // namespace metalsim
