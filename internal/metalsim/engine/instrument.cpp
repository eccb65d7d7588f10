#include "instrument.h"

#include <algorithm>
#include <cctype>

#include "msl/abi.h"
#include "wrap.h"

namespace metalsim {

namespace {

using std::string;
using std::string_view;
constexpr size_t npos = string_view::npos;

bool starts_with(string_view s, string_view prefix) { return s.substr(0, prefix.size()) == prefix; }

// The position of `what` outside all brackets, from `at` on; the last one if `last`.
size_t find_outside(string_view s, string_view what, size_t at, bool last = false) {
  int depth = 0;
  size_t found = npos;
  for (size_t i = at; i < s.size(); i++) {
    char c = s[i];
    if (c == '"') {
      i = s.find('"', i + 1);
      if (i == npos) break;
      continue;
    }
    if (depth == 0 && s.substr(i, what.size()) == what) {
      found = i;
      if (!last) return found;
    }
    if (c == '(' || c == '[' || c == '{' || c == '<') depth++;
    if (c == ')' || c == ']' || c == '}' || c == '>') depth--;
  }
  return found;
}

size_t operand_end(string_view s, size_t at) {
  size_t comma = find_outside(s, ",", at), close = at;
  int depth = 0;
  for (; close < s.size(); close++) {
    if (s[close] == '(') depth++;
    if (s[close] == ')' && depth-- == 0) break;
  }
  return std::min({comma, close, s.size()});
}

unsigned number_after(string_view s, string_view key, unsigned otherwise) {
  size_t i = s.rfind(key);
  return i == npos ? otherwise : (unsigned)std::strtoul(string(s.substr(i + key.size(), 12)).c_str(), nullptr, 10);
}

// "read.4.float" notes that a <4 x float> has a NaN, "write.1.half" reports one. A NaN whose bits are all set comes from a
// variable that was not initialised (uninitialised()).
string nan_function(const string &name, bool finite) {
  bool write = name[0] == 'w';
  size_t dot = name.find('.');
  string count = name.substr(dot + 1, name.find('.', dot + 1) - dot - 1), element = name.substr(name.rfind('.') + 1);
  bool vector = count != "1";
  auto several = [&](const string &t) { return vector ? "<" + count + " x " + t + ">" : t; };
  auto any = [&](const string &from, const string &to) { return "  " + to + " = " + (vector ? "call i1 @llvm.vector.reduce.or.v" + count + "i1(" + several("i1") + " " + from + ")\n" : "or i1 " + from + ", false\n"); };
  string type = several(element);
  string r = "define internal void @msl_nan." + name + "(" + type + " %v" + (write ? ", i32 %site" : "") + ") alwaysinline nounwind {\n  %n = fcmp uno " + type + " %v, " + (vector ? "zeroinitializer" : "%v") + "\n" +
             any("%n", "%c") + "  br i1 %c, label %some, label %none, !prof !{!\"branch_weights\", i32 1, i32 100000}\nsome:\n";
  if (!write) return r + "  store i32 1, ptr @msl_nan_read\n  br label %none\nnone:\n  ret void\n}\n";
  // The bits that are left of it in any conversion: to half and bfloat, and of either.
  string word = several(element == "float" ? "i32" : "i16"), mask = element == "float" ? "2147418112" : element == "half" ? "32760" : "32767", masks = mask;
  if (vector) {
    masks = "<";
    for (int i = 0; i < std::atoi(count.c_str()); i++) masks += string(i ? ", " : "") + (element == "float" ? "i32 " : "i16 ") + mask;
    masks += ">";
  }
  r += "  %known = load i32, ptr @msl_nan_read\n  %fresh = icmp eq i32 %known, 0\n  br i1 %fresh, label %report, label %none\nreport:\n  %w = bitcast " + type + " %v to " + word + "\n  %m = and " + word + " %w, " + masks +
       "\n  %e = icmp eq " + word + " %m, " + masks + "\n" + any("%e", "%u");
  string value = std::to_string(MSL_BAD_VALUE), nan = std::to_string(MSL_BAD_NAN);
  if (finite) return r + "  %k = select i1 %u, i32 " + value + ", i32 " + nan + "\n  call void @msl_undefined(i32 %k, i32 %site)\n  br label %none\nnone:\n  ret void\n}\n";
  return r + "  br i1 %u, label %bad, label %none\nbad:\n  call void @msl_undefined(i32 " + value + ", i32 %site)\n  br label %none\nnone:\n  ret void\n}\n";
}

string_view result_name(string_view l) {
  size_t eq = l.find(" = ");
  return eq == npos ? string_view() : l.substr(2, eq - 2);
}

}  // namespace

size_t type_end(string_view s, size_t at) {
  int depth = 0;
  for (size_t i = at; i < s.size(); i++) {
    char c = s[i];
    if (c == '{' || c == '[' || c == '<' || c == '(') depth++;
    if (c == '}' || c == ']' || c == '>' || c == ')') depth--;
    if (depth == 0 && (c == ' ' || c == ',')) {
      if (s.substr(i, 11) == " addrspace(") continue;
      return i;
    }
  }
  return s.size();
}

string replace_names(string_view s, const std::map<string_view, string> &names) {
  string r;
  size_t done = 0;
  for (size_t i = s.find('@'); i != npos; i = s.find('@', i + 1)) {
    size_t n = i + 1;
    if (n < s.size() && s[n] == '"') n = s.find('"', n + 1) + 1;
    else
      while (n < s.size() && (std::isalnum((unsigned char)s[n]) || s[n] == '_' || s[n] == '.' || s[n] == '$' || s[n] == '-')) n++;
    auto it = names.find(s.substr(i, n - i));
    if (it == names.end()) continue;
    r += s.substr(done, i - done);
    r += it->second;
    done = n;
  }
  r += s.substr(done);
  return r;
}

bool Instrumenter::pointer_at(string_view l, size_t at, Pointer &p) const {
  if (l.substr(at, 3) != "ptr") return false;
  p.begin = at;
  p.space = 0;
  size_t i = at + 3;
  if (l.substr(i, 11) == " addrspace(") {
    p.space = std::atoi(string(l.substr(i + 11, 6)).c_str());
    i = l.find(')', i) + 1;
  }
  // Parameter attributes in front of the value: "align 4", "noundef", "nonnull", ...
  while (i < l.size() && l[i] == ' ') {
    i++;
    if (l[i] == '%' || l[i] == '@' || starts_with(l.substr(i), "getelementptr") || starts_with(l.substr(i), "inttoptr") || starts_with(l.substr(i), "addrspacecast") ||
        starts_with(l.substr(i), "null") || starts_with(l.substr(i), "undef") || starts_with(l.substr(i), "poison"))
      break;
    size_t n = l.find(' ', i);
    if (n == npos) return false;
    i = n;
  }
  p.end = operand_end(l, i);
  p.value = l.substr(i, p.end - i);
  return true;
}

// Whether an access through p can reach anything but the thread's own memory and program-scope constants.
bool Instrumenter::checked(const Pointer &p) const {
  if (p.space == 3) return mode_ == METALSIM_MODE_CHECK;
  if (p.value.find('@') != npos) return false;
  if (private_.count(p.value)) return false;
  return true;
}

void Instrumenter::note_private(string_view l) {
  string_view name = result_name(l);
  if (name.empty()) return;
  string_view rest = l.substr(l.find(" = ") + 3);
  bool own = starts_with(rest, "alloca ");
  if (starts_with(rest, "load ptr, ptr @msl_")) own = true;   // msl_current and the argument tables' addresses
  if (rest.find("@msl_exchange(") != npos) own = true;
  if (starts_with(rest, "getelementptr ") || starts_with(rest, "addrspacecast ")) {
    size_t at = rest.find("ptr");
    Pointer p;
    // A GEP's source type may be "ptr" itself: its pointer operand is the one after the comma.
    if (starts_with(rest, "getelementptr ")) {
      size_t comma = find_outside(rest, ", ptr", 0);
      at = comma == npos ? npos : comma + 2;
    }
    if (at != npos && pointer_at(rest, at, p)) own = private_.count(p.value) > 0 || (p.value[0] == '@' && p.space != 3);
  }
  if (own) private_.insert(name);
  if (starts_with(rest, "alloca ptr,")) pointers_.insert(name);
  if (starts_with(rest, "alloca [")) {
    size_t end = type_end(rest, 7);
    arrays_[name] = {name, module_.layout(rest.substr(7, end - 7)).size};
  } else if (starts_with(rest, "getelementptr ")) {
    Pointer p;
    size_t comma = find_outside(rest, ", ptr", 0);
    if (comma != npos && pointer_at(rest, comma + 2, p))
      if (auto a = arrays_.find(p.value); a != arrays_.end()) arrays_[name] = Array(a->second);
  }
}

int Instrumenter::site(string_view l, const Site *access) {
  Site s = module_.position_of_line(l);
  if (access) {
    s.size = access->size;
    s.align = access->align;
    s.space = access->space;
    s.read = access->read;
    s.write = access->write;
    s.atomic = access->atomic;
  }
  kernel_.sites.push_back(s);
  return (int)kernel_.sites.size() - 1;
}

// Puts a call in front that gives the real address, and lets the instruction use that.
string Instrumenter::access(string_view l, const Pointer &p, string_view type, bool read, bool write, bool atomic) {
  Site a;
  a.size = (uint32_t)module_.layout(type).size;
  a.align = number_after(l, ", align ", 1);
  a.space = p.space == 6 ? 2 : p.space;
  a.read = read;
  a.write = write;
  a.atomic = atomic;
  string n = std::to_string(fresh_++), generic = string(p.value), out;
  if (p.space) {
    generic = "%msl.g" + n;
    out += "  " + generic + " = addrspacecast ptr addrspace(" + std::to_string(p.space) + ") " + string(p.value) + " to ptr\n";
  }
  string call = "  %msl.p" + n + " = call ptr ";
  if (mode_ == METALSIM_MODE_CHECK) {
    used_.insert("msl_access");
    out += call + "@msl_access(ptr " + generic + ", i32 " + std::to_string(site(l, &a)) + ")\n";
  } else {
    string arguments = "(ptr " + generic + ", i64 " + std::to_string(a.size) + ", i32 " + std::to_string(site(l, &a)) + ")\n";
    if (read && write) out += "  %msl.r" + n + " = call ptr @msl_count_read" + arguments;
    out += call + (write ? "@msl_count_write" : "@msl_count_read") + arguments;
  }
  string changed = string(l.substr(0, p.begin)) + "ptr %msl.p" + n + string(l.substr(p.end));
  // A reported misaligned access is carried out all the same.
  size_t align = changed.rfind(", align ");
  if (align != npos && !atomic) {
    size_t end = align + 8;
    while (end < changed.size() && std::isdigit((unsigned char)changed[end])) end++;
    changed.replace(align, end - align, ", align 1");
  }
  return out + changed;
}

// A NaN that no input was is written: under fast math there are none; else, only what was not initialised is reported.
string Instrumenter::nan_check(string_view type, string_view value, bool write, string_view l) {
  string_view element = type[0] == '<' ? type.substr(type.find(" x ") + 3, type.size() - type.find(" x ") - 4) : type;
  if (mode_ != METALSIM_MODE_CHECK || value.empty() || value[0] != '%' || (element != "float" && element != "half" && element != "bfloat")) return "";
  string name = string(write ? "write." : "read.") + (type[0] == '<' ? string(type.substr(1, type.find(' ') - 1)) : "1") + "." + string(element);
  nan_types_.insert(name);
  return "  call void @msl_nan." + name + "(" + string(type) + " " + string(value) + (write ? ", i32 " + std::to_string(site(l)) : "") + ")\n";
}

// Pointers into the thread's arrays that go into a pointer variable, where their array is no longer known, get a tag.
string Instrumenter::hand_out_arrays(string_view l, size_t from) {
  string out, changed(l.substr(0, from));
  size_t done = from;
  for (size_t i = l.find("ptr ", from); i != npos; i = l.find("ptr ", i + 1)) {
    Pointer p;
    if (!pointer_at(l, i, p) || p.space) continue;
    auto a = arrays_.find(p.value);
    if (a == arrays_.end()) continue;
    used_.insert("msl_local");
    string name = "%msl.a" + std::to_string(fresh_++);
    out += "  " + name + " = call ptr @msl_local(ptr " + string(p.value) + ", ptr " + string(a->second.name) + ", i64 " + std::to_string(a->second.size) + ")\n";
    size_t at = p.value.data() - l.data();
    changed += string(l.substr(done, at - done)) + name;
    done = at + p.value.size();
  }
  return out + changed + string(l.substr(done));
}

// Variables start with all bits set, which is a NaN of each type. Where every path writes first the optimiser drops this.
string Instrumenter::uninitialised(const std::vector<string_view> &lines, size_t end) {
  string out;
  for (size_t i = 0; i < end; i++) {
    string_view l = lines[i], name = result_name(l);
    size_t at = l.find(" = alloca ");
    if (at == npos || name.find(".addr") != npos || starts_with(name, "%retval") || starts_with(name, "%msl")) continue;
    string_view type = l.substr(at + 10, type_end(l, at + 10) - at - 10);
    auto size = module_.layout(type).size;
    if (starts_with(type, "ptr") || starts_with(type, "%struct.msl_") || starts_with(type, "%class.anon") || !size) continue;
    used_.insert("llvm.memset");
    out += "  call void @llvm.memset.p0.i64(ptr " + string(name) + ", i8 -1, i64 " + std::to_string(size) + ", i1 false)\n";
  }
  return out;
}

string Instrumenter::memory_intrinsic(string_view l) {
  size_t open = l.find('(', l.find("@llvm.mem"));
  bool fill = l.find("@llvm.memset.") != npos;
  Pointer to, from;
  if (!pointer_at(l, open + 1, to)) return string(l);
  size_t second = to.end + 2;
  if (!fill && !pointer_at(l, second, from)) return string(l);
  bool to_checked = checked(to), from_checked = !fill && checked(from);
  if (!to_checked && !from_checked) return string(l);
  string out, to_value = string(to.value), from_value = string(from.value), n = std::to_string(fresh_++);
  auto generic = [&](const Pointer &p, string &value, const char *prefix) {
    if (!p.space) return;
    string name = string("%msl.") + prefix + n;
    out += "  " + name + " = addrspacecast ptr addrspace(" + std::to_string(p.space) + ") " + value + " to ptr\n";
    value = name;
  };
  auto align_of = [&](size_t at) {
    size_t a = l.find(" align ", at), end = l.find(',', at);
    return a != npos && a < end ? (uint32_t)std::atoi(string(l.substr(a + 7, 6)).c_str()) : 1u;
  };
  generic(to, to_value, "t");
  Site w;
  w.write = true;
  w.space = to.space == 6 ? 2 : to.space;
  w.align = align_of(to.begin);
  int write_site = site(l, &w);
  if (fill) {
    used_.insert("msl_fill");
    size_t value_end = l.find(", i64 ", second);
    size_t size_end = operand_end(l, value_end + 2);
    return out + "  call void @msl_fill(ptr " + to_value + ", " + string(l.substr(second, value_end - second)) + ", " + string(l.substr(value_end + 2, size_end - value_end - 2)) + ", i32 " + std::to_string(write_site) + ")";
  }
  generic(from, from_value, "f");
  Site r;
  r.read = true;
  r.space = from.space == 6 ? 2 : from.space;
  r.align = align_of(from.begin);
  size_t size = from.end + 2, size_end = operand_end(l, size);
  used_.insert("msl_copy");
  return out + "  call void @msl_copy(ptr " + to_value + ", ptr " + from_value + ", " + string(l.substr(size, size_end - size)) + ", i32 " + std::to_string(write_site) + ", i32 " + std::to_string(site(l, &r)) + ")";
}

// A GPU gives some number for x / 0 and for the most negative number / -1; this processor would end the process.
string Instrumenter::division(string_view l, size_t start) {
  size_t end = type_end(l, start), comma = find_outside(l, ", ", end), divisor = comma + 2, divisor_end = operand_end(l, divisor);
  if (comma == npos || l[divisor] != '%') return string(l);
  string type(l.substr(start, end - start)), a(l.substr(end + 1, comma - end - 1)), b(l.substr(divisor, divisor_end - divisor));
  string n = std::to_string(fresh_++), out;
  auto name = [&](const char *what) { return string("%msl.") + what + n; };
  bool vector = type[0] == '<';
  string bit = vector ? type.substr(0, type.find(" x ")) + " x i1>" : "i1";
  out += "  " + name("z") + " = icmp eq " + type + " " + b + ", zeroinitializer\n";
  if (!vector) out = "  " + name("z") + " = icmp eq " + type + " " + b + ", 0\n";
  out += "  " + name("o") + " = zext " + bit + " " + name("z") + " to " + type + "\n";
  out += "  " + name("d") + " = or " + type + " " + b + ", " + name("o") + "\n";
  string safe = name("d");
  if (!vector && l.substr(l.find(" = ") + 3, 1) == "s") {
    int bits = std::atoi(type.c_str() + 1);
    string lowest = bits == 64 ? "-9223372036854775808" : std::to_string(-(1ll << (bits - 1)));
    out += "  " + name("m") + " = icmp eq " + type + " " + b + ", -1\n  " + name("l") + " = icmp eq " + type + " " + a + ", " + lowest + "\n";
    out += "  " + name("x") + " = and i1 " + name("m") + ", " + name("l") + "\n  " + name("e") + " = select i1 " + name("x") + ", " + type + " 1, " + type + " " + safe + "\n";
    safe = name("e");
  }
  // Clang's own checks know scalars only.
  if (vector && mode_ == METALSIM_MODE_CHECK) out += undefined_if_any(name("z"), bit, MSL_BAD_DIVISION, l);
  return out + string(l.substr(0, divisor)) + safe + string(l.substr(divisor_end));
}

// The shift of a vector by its width or more.
string Instrumenter::shift(string_view l, size_t start) {
  size_t end = type_end(l, start), comma = find_outside(l, ", ", end);
  if (l[start] != '<' || comma == npos) return string(l);
  string type(l.substr(start, end - start)), amount(l.substr(comma + 2, operand_end(l, comma + 2) - comma - 2));
  size_t x = type.find(" x i");
  if (x == npos || amount[0] != '%') return string(l);
  int count = std::atoi(type.c_str() + 1);
  string element = type.substr(x + 3, type.size() - x - 4), bits = element.substr(1), n = std::to_string(fresh_++), widths;
  for (int i = 0; i < count; i++) widths += string(i ? ", " : "") + element + " " + bits;
  string name = "%msl.w" + n, bit = type.substr(0, x) + " x i1>";
  return "  " + name + " = icmp uge " + type + " " + amount + ", <" + widths + ">\n" + undefined_if_any(name, bit, MSL_BAD_SHIFT, l) + string(l);
}

// Reports if any lane of a vector of bits is set.
string Instrumenter::undefined_if_any(const string &lanes, const string &type, int kind, string_view l) {
  string n = std::to_string(fresh_++), word = "i" + std::to_string(std::atoi(type.c_str() + 1));
  return "  %msl.b" + n + " = bitcast " + type + " " + lanes + " to " + word + "\n  %msl.q" + n + " = icmp ne " + word + " %msl.b" + n + ", 0\n" +
         "  call void @msl_undefined_if(i1 noundef zeroext %msl.q" + n + ", i32 noundef " + std::to_string(kind) + ", i32 noundef " + std::to_string(site(l)) + ")\n";
}

// A pointer's value as a generic pointer; the result is the code in front.
string Instrumenter::generic(const Pointer &p, string &value) {
  value = string(p.value);
  if (!p.space) return "";
  string name = "%msl.g" + std::to_string(fresh_++), code = "  " + name + " = addrspacecast ptr addrspace(" + std::to_string(p.space) + ") " + value + " to ptr\n";
  value = name;
  return code;
}

// Tags keep bindings apart, not buffers: pointers are compared and subtracted by their addresses.
string Instrumenter::pointer_comparison(string_view l, size_t start) {
  Pointer a;
  if (!pointer_at(l, start, a) || a.space == 3 || a.end + 2 > l.size()) return string(l);
  Pointer b = a;
  b.begin = a.end + 2;
  b.end = operand_end(l, b.begin);
  b.value = l.substr(b.begin, b.end - b.begin);
  if (a.value == "null" || b.value == "null") return string(l);
  string x, y, out = generic(a, x), n = std::to_string(fresh_++);
  out += generic(b, y);
  out += "  %msl.x" + n + " = call i64 @msl_address(ptr noundef " + x + ")\n  %msl.y" + n + " = call i64 @msl_address(ptr noundef " + y + ")\n";
  return out + string(l.substr(0, start)) + "i64 %msl.x" + n + ", %msl.y" + n + string(l.substr(b.end));
}

string Instrumenter::pointer_difference(string_view l, size_t start) {
  Pointer p;
  if (!pointer_at(l, start, p) || p.space == 3) return string(l);
  size_t to = p.value.find(" to ");   // pointer_at() ends at the comma
  if (to == npos) return string(l);
  p.value = p.value.substr(0, to);
  string value, out = generic(p, value), rest(l.substr(p.begin + (p.value.data() - (l.data() + p.begin)) + p.value.size() + string_view(" to i64").size()));
  return out + string(l.substr(0, l.find(" = ") + 3)) + "call i64 @msl_address(ptr noundef " + value + ")" + rest;
}

string Instrumenter::line(string_view l) {
  note_private(l);
  bool instrument = mode_ == METALSIM_MODE_CHECK || counting_;
  size_t eq = l.find(" = ");
  string_view op = l.substr(eq == npos ? std::min<size_t>(2, l.size()) : eq + 3);
  if (!counting_ && (l.find("@msl_barrier(") != npos || l.find("@msl_exchange(") != npos || l.find("@msl_undefined(") != npos || l.find("@msl_undefined_if(") != npos) && (starts_with(op, "call ") || starts_with(op, "tail call "))) {
    size_t zero = l.rfind("i32 noundef 0)");
    if (zero != npos) return string(l.substr(0, zero)) + "i32 noundef " + std::to_string(site(l)) + string(l.substr(zero + 13));
  }
  if (starts_with(op, "call void @__ubsan_handle_")) {
    static const std::pair<const char *, int> kinds[] = {{"out_of_bounds", MSL_BAD_INDEX},         {"divrem_overflow", MSL_BAD_DIVISION},         {"shift_out_of_bounds", MSL_BAD_SHIFT},
                                                         {"float_cast_overflow", MSL_BAD_CONVERSION}, {"add_overflow", MSL_BAD_OVERFLOW},         {"sub_overflow", MSL_BAD_OVERFLOW},
                                                         {"mul_overflow", MSL_BAD_OVERFLOW},       {"negate_overflow", MSL_BAD_OVERFLOW}};
    for (auto &[name, kind] : kinds)
      if (l.find(string("@__ubsan_handle_") + name) != npos) {
        used_.insert("msl_undefined");
        return "  call void @msl_undefined(i32 " + std::to_string(kind) + ", i32 " + std::to_string(site(l)) + ")";
      }
  }
  if (!counting_)
    for (string_view word : {"udiv ", "sdiv ", "urem ", "srem "})
      if (starts_with(op, word)) return division(l, op.data() - l.data() + word.size());
  if (!counting_ && mode_ != METALSIM_MODE_PLAIN) {
    if (starts_with(op, "icmp ")) {
      size_t type = l.find(" ptr", op.data() - l.data());
      if (type != npos) return pointer_comparison(l, type + 1);
    }
    if (starts_with(op, "ptrtoint ptr") && l.find("%sub.ptr.") != npos) return pointer_difference(l, op.data() - l.data() + 9);
  }
  if (mode_ == METALSIM_MODE_CHECK)
    for (string_view word : {"shl ", "lshr ", "ashr "})
      if (starts_with(op, word)) return shift(l, op.data() - l.data() + word.size());
  if (!instrument) return string(l);
  Pointer p;
  if (starts_with(op, "load ")) {
    bool atomic = starts_with(op, "load atomic ");
    size_t start = op.data() - l.data() + 5;
    for (string_view word : {"atomic ", "volatile "})
      if (starts_with(l.substr(start), word)) start += word.size();
    size_t comma = find_outside(l, ", ptr", start);
    if (comma == npos || !pointer_at(l, comma + 2, p)) return string(l);
    // A load atomic puts its ordering behind the pointer.
    if (atomic) {
      size_t space = p.value.find(' ');
      if (space != npos && p.value[0] == '%') {
        p.value = p.value.substr(0, space);
        p.end = p.value.data() - l.data() + space;
      }
    }
    string_view type = l.substr(start, comma - start);
    if (checked(p)) return access(l, p, type, true, false, atomic) + (atomic || !p.space || p.space == 3 ? "" : "\n" + nan_check(type, result_name(l), false, l));
  } else if (starts_with(op, "store ")) {
    bool atomic = starts_with(op, "store atomic ");
    size_t start = op.data() - l.data() + 6;
    for (string_view word : {"atomic ", "volatile "})
      if (starts_with(l.substr(start), word)) start += word.size();
    size_t comma = find_outside(l, ", ptr", start, true);
    if (comma == npos || !pointer_at(l, comma + 2, p)) return string(l);
    if (atomic) {
      size_t space = p.value.find(' ');
      if (space != npos && p.value[0] == '%') {
        p.value = p.value.substr(0, space);
        p.end = p.value.data() - l.data() + space;
      }
    }
    size_t end = type_end(l, start);
    string_view type = l.substr(start, end - start), value = l.substr(end + 1, comma - end - 1);
    if (checked(p)) return (atomic || !p.space || p.space == 3 || widened_.count(value) ? "" : nan_check(type, value, true, l)) + access(l, p, type, false, true, atomic);
    if (mode_ == METALSIM_MODE_CHECK && type == "ptr" && pointers_.count(p.value)) return hand_out_arrays(l, start);
  } else if (starts_with(op, "atomicrmw ") || starts_with(op, "cmpxchg ")) {
    size_t at = l.find(" ptr", op.data() - l.data());
    if (at == npos || !pointer_at(l, at + 1, p)) return string(l);
    size_t start = p.end + 2;
    if (checked(p)) return access(l, p, l.substr(start, type_end(l, start) - start), true, true, true);
  } else if (starts_with(op, "call void @llvm.mem") || starts_with(op, "tail call void @llvm.mem")) {
    return memory_intrinsic(l);
  } else if (starts_with(op, "shufflevector ") && (op.find("i32 poison") != npos || op.find("i32 undef") != npos)) {
    widened_.insert(result_name(l));   // three elements as four
  }
  return string(l);
}

// Debug locations go, except when a second pass needs them.
string Instrumenter::finish(string l) const {
  if (mode_ == METALSIM_MODE_COUNT && !counting_) return l;
  size_t at = l.find(", !dbg !"), end = at + 8;
  if (at == npos) {
    at = l.find(" !dbg !");   // on a "define" line
    if (at == npos) return l;
    end = at + 7;
  }
  while (end < l.size() && std::isdigit((unsigned char)l[end])) end++;
  return l.erase(at, end - at);
}

string Instrumenter::block_coverage(const std::vector<string_view> &lines, size_t first, size_t last) {
  CoverageBlock block;
  for (size_t i = first; i < last; i++) {
    if (lines[i].find("@__ubsan_handle_") != npos) return "";   // never to be run
    Site s = module_.position_of_line(lines[i]);
    if (s.line > 0) block.key = (block.key ^ ((uint64_t)s.line << 20 ^ (uint64_t)s.column)) * 0x9e3779b97f4a7c15;
    if (s.line > 0 && std::find(block.lines.begin(), block.lines.end(), std::make_pair(s.file, s.line)) == block.lines.end()) block.lines.push_back({s.file, s.line});
  }
  if (block.lines.empty()) return "";
  kernel_.blocks.push_back(block);
  return "  store volatile i8 1, ptr getelementptr (i8, ptr @msl_covered, i64 " + std::to_string(kernel_.blocks.size() - 1) + ")\n";
}

string Instrumenter::function(string_view body, bool user) {
  private_.clear();
  arrays_.clear();
  pointers_.clear();
  widened_.clear();
  string out, watched;
  bool check = mode_ == METALSIM_MODE_CHECK && user && !counting_;
  if (check) body = watched = watch_wrapping(body, multiplies_);
  std::vector<string_view> lines;
  for (size_t i = 0; i < body.size();) {
    size_t n = body.find('\n', i);
    if (n == npos) n = body.size();
    lines.push_back(body.substr(i, n - i));
    i = n + 1;
  }
  bool block_start = true, allocas = check;
  for (size_t i = 0; i < lines.size(); i++) {
    string_view l = lines[i];
    if (allocas && l.size() > 2 && l[0] == ' ' && l.find(" = alloca ") == npos) {
      out += uninitialised(lines, i);
      allocas = false;
    }
    bool instruction = l.size() > 2 && l[0] == ' ' && l[1] == ' ';
    if (!instruction || l[2] == ' ') {   // labels, "}", the cases of a switch
      out += finish(string(l)) + "\n";
      if (!instruction && !l.empty() && l != "}") block_start = true;
      continue;
    }
    bool phi = l.find(" = phi ") != npos;
    if (block_start && !phi && user && coverage_ && !counting_) {
      size_t last = i;
      while (last < lines.size() && lines[last].size() > 2 && lines[last][0] == ' ') last++;
      out += block_coverage(lines, i, last);
    }
    if (!phi) block_start = false;
    out += finish(user ? line(l) : string(l)) + "\n";
  }
  return out;
}

string Instrumenter::globals() const {
  string r;
  if (!nan_types_.empty()) r += "@msl_nan_read = external global i32\n";
  for (auto &name : nan_types_) r += nan_function(name, finite_);
  return r + (kernel_.blocks.empty() ? "" : "@msl_covered = global [" + std::to_string(kernel_.blocks.size()) + " x i8] zeroinitializer\n");
}

string Instrumenter::declarations(const std::function<bool(string_view)> &known) const {
  static const std::map<string, string> all = {
      {"msl_access", "declare ptr @msl_access(ptr, i32)\n"},
      {"msl_copy", "declare void @msl_copy(ptr, ptr, i64, i32, i32)\n"},
      {"msl_fill", "declare void @msl_fill(ptr, i8, i64, i32)\n"},
      {"msl_undefined", "declare void @msl_undefined(i32, i32)\n"},
      {"llvm.memset", "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)\n"},
      {"msl_local", "declare ptr @msl_local(ptr, ptr, i64)\n"},
  };
  string r;
  for (auto &name : used_)
    if (all.count(name) && !known(name == "llvm.memset" ? "@llvm.memset.p0.i64" : "@" + name)) r += all.at(name);
  for (string name : {"llvm.umul.with.overflow.i32", "llvm.smul.with.overflow.i32"})
    if (multiplies_ && !known("@" + name)) r += "declare { i32, i1 } @" + name + "(i32, i32)\n";
  if (!nan_types_.empty() && !used_.count("msl_undefined") && !known("@msl_undefined")) r += all.at("msl_undefined");
  return r;
}

string Instrumenter::metadata(string_view text) const {
  std::set<int> keep;
  std::vector<int> work;
  auto collect = [&](string_view s) {
    for (size_t i = s.find('!'); i != npos; i = s.find('!', i + 1)) {
      if (i + 1 >= s.size() || !std::isdigit((unsigned char)s[i + 1])) continue;
      int n = std::atoi(string(s.substr(i + 1, 12)).c_str());
      if (keep.insert(n).second) work.push_back(n);
    }
  };
  collect(text);
  bool debug = mode_ == METALSIM_MODE_COUNT && !counting_;
  string r;
  std::set<int> units;
  std::map<int, string> nodes;
  while (!work.empty()) {
    int n = work.back();
    work.pop_back();
    auto it = module_.metadata_.find(n);
    if (it == module_.metadata_.end()) continue;
    string node(it->second);
    if (starts_with(node, "distinct !DICompileUnit")) units.insert(n);
    if (!debug && starts_with(node, "distinct !{")) {
      // Loop metadata names the loop's debug locations.
      string cut;
      size_t i = node.find('{') + 1, end = node.rfind('}');
      while (i < end) {
        size_t comma = std::min(node.find(',', i), end);
        string item = node.substr(i, comma - i);
        while (!item.empty() && item[0] == ' ') item.erase(0, 1);
        auto target = item.size() > 1 && item[0] == '!' && std::isdigit((unsigned char)item[1]) ? module_.metadata_.find(std::atoi(item.c_str() + 1)) : module_.metadata_.end();
        if (target == module_.metadata_.end() || !starts_with(target->second, "!DILocation")) cut += (cut.empty() ? "" : ", ") + item;
        i = comma + 1;
      }
      node = "distinct !{" + cut + "}";
    }
    collect(node);
    nodes[n] = node;
  }
  for (auto &[n, node] : nodes) r += "!" + std::to_string(n) + " = " + node + "\n";
  if (debug && !units.empty()) {
    int free = 1;
    for (auto &[n, node] : module_.metadata_) free = std::max(free, n + 1);
    r += "!llvm.dbg.cu = !{";
    bool first = true;
    for (int u : units) r += string(first ? "" : ", ") + "!" + std::to_string(u), first = false;
    r += "}\n!llvm.module.flags = !{!" + std::to_string(free) + "}\n!" + std::to_string(free) + " = !{i32 2, !\"Debug Info Version\", i32 3}\n";
  }
  return r;
}

void Module::count_accesses(KernelModule &kernel, string optimised) {
  Module module(std::move(optimised));
  Instrumenter instrument(module, kernel, METALSIM_MODE_COUNT, false, false, true);
  string out;
  for (auto line : module.heading_) (out += line) += '\n';
  for (auto name : module.global_order_)
    if (name != "@llvm.used") (out += module.globals_.at(name)) += '\n';
  for (auto name : module.function_order_) {
    const Function &f = module.functions_.at(name);
    string_view body = string_view(module.text_).substr(f.begin, f.end - f.begin);
    size_t first = body.find('\n');
    bool helper = starts_with(name, "@msl_count_");
    out += instrument.head(string(body.substr(0, first))) + "\n" + instrument.function(body.substr(first + 1), !helper);
  }
  for (auto &[name, line] : module.declarations_)
    if (!starts_with(name, "@llvm.dbg.")) (out += line) += '\n';
  out += instrument.declarations([&](string_view n) { return module.declarations_.count(n) > 0; });
  for (auto line : module.attributes_) (out += line) += '\n';
  out += instrument.metadata(out);
  kernel.ir = std::move(out);
}

}  // namespace metalsim
