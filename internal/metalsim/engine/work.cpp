#include "work.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace metalsim {

namespace {

using std::string;
using std::string_view;
constexpr size_t npos = string_view::npos;

bool starts_with(string_view s, string_view prefix) { return s.substr(0, prefix.size()) == prefix; }

struct Type {
  unsigned count = 1, bits = 32;
  uint64_t bytes() const { return (uint64_t)count * bits / 8; }
};

// The first-class types that arithmetic and loads have.
Type type_of(string_view t) {
  Type r;
  if (starts_with(t, "<")) {
    r.count = (unsigned)std::strtoul(string(t.substr(1, 8)).c_str(), nullptr, 10);
    size_t x = t.find(" x ");
    t = x == npos ? string_view() : t.substr(x + 3);
  }
  if (starts_with(t, "i")) r.bits = std::max(8u, (unsigned)std::strtoul(string(t.substr(1, 4)).c_str(), nullptr, 10));
  if (starts_with(t, "half") || starts_with(t, "bfloat")) r.bits = 16;
  if (starts_with(t, "double") || starts_with(t, "ptr")) r.bits = 64;
  return r;
}

// Where a type begins: after the operation and its flags.
string_view type_after(string_view operation) {
  static const string_view flags[] = {"nuw ", "nsw ", "exact ", "nneg ", "disjoint ", "contract ", "fast ", "nnan ", "ninf ", "nsz ", "arcp ", "afn ", "reassoc ", "samesign ", "volatile ", "atomic "};
  size_t space = operation.find(' ');
  if (space == npos) return {};
  string_view rest = operation.substr(space + 1);
  for (bool more = true; more;) {
    more = false;
    for (auto f : flags)
      if (starts_with(rest, f)) rest.remove_prefix(f.size()), more = true;
  }
  return rest;
}

// Of what a load or store goes to: "load i32, ptr addrspace(1) %p".
int address_space(string_view l) {
  size_t at = l.find(", ptr addrspace(");
  return at == npos ? 0 : std::atoi(string(l.substr(at + 16, 3)).c_str());
}

// Which instructions are the engine's own, standing for what a GPU does in one: those that debug information says are from
// msl/simd.h, inlined or not.
class Origins {
 public:
  explicit Origins(const std::vector<string_view> &lines) {
    for (auto l : lines) {
      size_t eq = l.find(" = ");
      if (starts_with(l, "!") && eq != npos && std::isdigit((unsigned char)l[1])) nodes_[number(l, 1)] = l.substr(eq + 3);
    }
  }
  bool engine(string_view instruction) {
    size_t at = instruction.rfind("!dbg !");
    return at != npos && engine_node(number(instruction, at + 6));
  }

 private:
  std::unordered_map<int, string_view> nodes_;
  std::unordered_map<int, bool> known_;

  static int number(string_view s, size_t at) { return std::atoi(string(s.substr(at, 10)).c_str()); }
  bool engine_node(int n) {
    auto [it, fresh] = known_.try_emplace(n, false);
    auto node = nodes_.find(n);
    if (!fresh || node == nodes_.end()) return it->second;
    bool is = starts_with(node->second, "!DIFile(") && node->second.find("/simd.h\"") != npos, function = node->second.find("!DISubprogram(") != npos;
    for (auto key : {"file: !", "scope: !", "inlinedAt: !"})
      if (size_t at = node->second.find(key); at != npos && function == (key[0] == 'f')) is = is || engine_node(number(node->second, at + string_view(key).size()));
    return known_[n] = is;
  }
};

// Issue slots of a function: of the IR's own, the C library's, and the engine's.
unsigned call_slots(string_view l) {
  size_t at = l.find('@');
  if (at == npos) return 1;
  string_view name = l.substr(at + 1, l.find('(', at) - at - 1);
  Type t = type_of(type_after(l.substr(l.find("call "))));
  if (starts_with(name, "llvm.fmuladd.") || starts_with(name, "llvm.fma.") || starts_with(name, "llvm.u") || starts_with(name, "llvm.s") || starts_with(name, "llvm.m")) return starts_with(name, "llvm.sqrt") ? 8 * t.count : t.count;
  if (starts_with(name, "llvm.exp")) return 4 * t.count;
  if (starts_with(name, "llvm.ctpop") || starts_with(name, "llvm.ctlz") || starts_with(name, "llvm.cttz")) return 4 * t.count;
  if (starts_with(name, "llvm.")) return 0;   // absolute values, signs, hints
  if (starts_with(name, "exp")) return 5;
  if (starts_with(name, "log")) return 5;
  if (starts_with(name, "msl_exchange") || starts_with(name, "msl_barrier")) return 1;
  return 8;
}

// Issue slots of one instruction, in units of a 32-bit multiply-add of a SIMD-group. metal-benchmarks: adds, bitwise
// operations and comparisons one, shifts, integer multiplication and conversions between integer and float four, roots
// eight; 16-bit floats are converted by the operations that read them.
unsigned slots(string_view op, string_view l) {
  Type t = type_of(type_after(op));
  unsigned words = t.count * (t.bits > 32 ? 2 : 1);
  for (auto one : {"add ", "sub ", "and ", "or ", "xor ", "fadd ", "fsub ", "fmul ", "icmp ", "fcmp ", "select "})
    if (starts_with(op, one)) return words;
  for (auto four : {"shl ", "lshr ", "ashr ", "mul ", "uitofp ", "sitofp ", "fptoui ", "fptosi "})
    if (starts_with(op, four)) return 4 * words;
  if (starts_with(op, "fdiv ") || starts_with(op, "frem ")) return 8 * words;
  for (auto division : {"udiv ", "sdiv ", "urem ", "srem "})
    if (starts_with(op, division)) return 32 * words;
  if (starts_with(op, "load ") || starts_with(op, "store ")) {
    int space = address_space(l);
    if (space == 0) return 0;   // what the engine hands a thread
    uint64_t pieces = (t.bytes() + 15) / 16;
    return (unsigned)(space == 3 ? 2 * pieces : pieces);
  }
  if (starts_with(op, "atomicrmw ") || starts_with(op, "cmpxchg ")) return 4;
  if (starts_with(op, "br i1 ") || starts_with(op, "switch ")) return 1;
  if (op.find("call ") != npos) return call_slots(op);
  return 0;   // addresses, casts, moves between vectors
}

template <class F>
void each_value(string_view l, F f) {
  for (size_t i = l.find('%'); i != npos; i = l.find('%', i + 1)) {
    size_t n = i + 1;
    while (n < l.size() && (std::isalnum((unsigned char)l[n]) || l[n] == '_' || l[n] == '.' || l[n] == '-' || l[n] == '$')) n++;
    f(l.substr(i, n - i));
  }
}

// A shift of all elements by 16: "shl <4 x i32> %v, <i32 16, i32 16, i32 16, i32 16>", or "shl i32 %v, 16".
bool by_sixteen(string_view op) {
  size_t comma = op.find(", ");
  if (comma == npos) return false;
  string_view amount = op.substr(comma + 2);
  if (amount == "16" || amount == "splat (i32 16)") return true;
  if (!starts_with(amount, "<i32 16")) return false;
  size_t elements = 1 + (size_t)std::count(amount.begin(), amount.end(), ','), sixteen = 0;
  for (size_t i = amount.find("i32 16"); i != npos; i = amount.find("i32 16", i + 1)) sixteen++;
  return elements == sixteen;
}

struct Block {
  uint64_t slots = 0, loaded = 0, together = 0;
};

// Loads of a block that do not wait for one another are under way together; a barrier, or an exchange between lanes, ends
// that.
Block measure(const std::vector<string_view> &lines, size_t first, size_t last, const std::unordered_map<string_view, int> &uses, Origins &origins) {
  Block b;
  std::unordered_map<string_view, unsigned> level;
  std::unordered_map<string_view, bool> product;   // results of fmul that a single fadd may absorb
  std::unordered_map<string_view, bool> half;      // 16-bit integers, widened
  std::vector<uint64_t> bytes;
  unsigned base = 0;
  for (size_t i = first; i < last; i++) {
    string_view l = lines[i];
    bool exchange = l.find("@msl_barrier(") != npos || l.find("@msl_exchange(") != npos, engine = !exchange && origins.engine(l);
    if (size_t dbg = l.find(", !dbg"); dbg != npos) l = l.substr(0, dbg);
    size_t eq = l.find(" = ");
    string_view name = eq == npos ? string_view() : l.substr(2, eq - 2), op = eq == npos ? l.substr(2) : l.substr(eq + 3);
    unsigned n = slots(op, l), depth = base;
    each_value(op, [&](string_view v) {
      if (auto it = level.find(v); it != level.end()) depth = std::max(depth, it->second);
    });
    if (starts_with(op, "zext ") && type_of(type_after(op)).bits == 16) half[name] = true;
    // bfloat to float: a move to the other half of a register.
    if (starts_with(op, "shl ") && by_sixteen(op))
      each_value(op, [&](string_view v) {
        if (half.count(v)) n /= 4;
      });
    if (starts_with(op, "fmul ") && op.find(" contract ") != npos) product[name] = true;
    if (starts_with(op, "extractelement "))
      each_value(op, [&](string_view v) {
        if (product.count(v)) product[name] = true;
      });
    if ((starts_with(op, "fadd ") || starts_with(op, "fsub ")) && op.find(" contract ") != npos) {
      bool fused = false;
      each_value(op, [&](string_view v) {
        auto u = uses.find(v);
        if (!fused && product.count(v) && u != uses.end() && u->second == 1) fused = true;
      });
      if (fused) n = 0;   // counted at the product
    }
    if (starts_with(op, "load ") && address_space(l) == 1) {
      uint64_t size = type_of(type_after(op)).bytes();
      if (bytes.size() <= depth) bytes.resize(depth + 1);
      bytes[depth] += size;
      b.loaded += size;
      depth++;
    }
    if (exchange) base = std::max(base, (unsigned)bytes.size());
    if (!name.empty()) level[name] = depth;
    if (!engine) b.slots += n;
  }
  for (uint64_t n : bytes) b.together += n * n;
  return b;
}

string add(const Block &b, unsigned &fresh) {
  string out;
  uint64_t values[] = {b.slots, b.loaded, b.together};
  for (int i = 0; i < 3; i++) {
    if (!values[i]) continue;
    string n = std::to_string(fresh++), at = "ptr getelementptr inbounds (i64, ptr @msl_work, i64 " + std::to_string(i) + ")";
    out += "  %msl.w" + n + " = load i64, " + at + ", align 8\n  %msl.v" + n + " = add i64 %msl.w" + n + ", " + std::to_string(values[i]) + "\n  store i64 %msl.v" + n + ", " + at + ", align 8\n";
  }
  return out;
}

}  // namespace

string count_work(const string &ir) {
  std::vector<string_view> lines;
  for (size_t i = 0; i < ir.size();) {
    size_t n = ir.find('\n', i);
    if (n == npos) n = ir.size();
    lines.push_back(string_view(ir).substr(i, n - i));
    i = n + 1;
  }
  Origins origins(lines);
  string out;
  unsigned fresh = 0;
  bool placed = false;
  auto instruction = [](string_view l) { return l.size() > 2 && l[0] == ' ' && l[1] == ' ' && l[2] != ' '; };
  for (size_t i = 0; i < lines.size(); i++) {
    string_view l = lines[i];
    if (!placed && starts_with(l, "define ")) {
      out += "@msl_work = global [3 x i64] zeroinitializer\n";
      placed = true;
    }
    (out += l) += '\n';
    if (!starts_with(l, "define ") || l.find("@msl_count_") != npos || l.find("@msl_reflect_") != npos) continue;
    size_t end = i + 1;
    std::unordered_map<string_view, int> uses;
    for (; end < lines.size() && lines[end] != "}"; end++) {
      size_t eq = lines[end].find(" = ");
      each_value(eq == npos || !instruction(lines[end]) ? lines[end] : lines[end].substr(eq + 3), [&](string_view v) { uses[v]++; });
    }
    for (i++; i < end;) {
      if (!instruction(lines[i])) {   // a label, or the cases of a switch
        (out += lines[i++]) += '\n';
        continue;
      }
      size_t first = i;
      while (i < end && instruction(lines[i])) i++;
      // Between what must come first in a block and the rest.
      size_t at = first;
      while (at < i && (lines[at].find(" = phi ") != npos || lines[at].find(" = alloca ") != npos)) (out += lines[at++]) += '\n';
      out += add(measure(lines, first, i, uses, origins), fresh);
      for (; at < i; at++) (out += lines[at]) += '\n';
    }
    i = end - 1;
  }
  return out;
}

}  // namespace metalsim
