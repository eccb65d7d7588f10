#include "tokens.h"

#include <cctype>
#include <cstdlib>

namespace metalsim {

namespace {

bool word_start(char c) { return std::isalpha((unsigned char)c) || c == '_' || c == '$'; }
bool word_part(char c) { return std::isalnum((unsigned char)c) || c == '_' || c == '$'; }

// Longest punctuation first. ">>" stays two tokens: it closes two template argument lists more often than it shifts.
const char *const kPunctuation[] = {"<<=", "->*", "...", "::", "->", "++", "--", "<=", ">=", "==", "!=", "&&", "||",
                                    "+=",  "-=",  "*=",  "/=", "%=", "&=", "|=", "^=", "<<"};

size_t token_length(std::string_view s, TokenKind &kind) {
  char c = s[0];
  if (word_start(c)) {
    kind = TokenKind::word;
    size_t n = 1;
    while (n < s.size() && word_part(s[n])) n++;
    return n;
  }
  if (std::isdigit((unsigned char)c) || (c == '.' && s.size() > 1 && std::isdigit((unsigned char)s[1]))) {
    kind = TokenKind::number;
    size_t n = 1;
    while (n < s.size() && (word_part(s[n]) || s[n] == '.' || ((s[n] == '+' || s[n] == '-') && std::string_view("eEpP").find(s[n - 1]) != std::string_view::npos && !(s.size() > 1 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') && (s[n - 1] == 'e' || s[n - 1] == 'E'))))) n++;
    return n;
  }
  if (c == '"' || c == '\'') {
    kind = TokenKind::string;
    size_t n = 1;
    while (n < s.size() && s[n] != c && s[n] != '\n') n += s[n] == '\\' ? 2 : 1;
    return n < s.size() ? n + 1 : s.size();
  }
  kind = TokenKind::punctuation;
  for (const char *p : kPunctuation)
    if (s.substr(0, std::string_view(p).size()) == p) return std::string_view(p).size();
  return 1;
}

}  // namespace

Tokens::Tokens(std::string_view s) {
  size_t i = 0, line_start = 0;
  int line = 1;
  while (i < s.size()) {
    size_t begin = i;
    bool first_on_line = i == line_start;
    while (i < s.size() && std::isspace((unsigned char)s[i])) {
      if (s[i] == '\n') {
        line++;
        line_start = i + 1;
        first_on_line = true;
      }
      i++;
    }
    Token t;
    t.space = s.substr(begin, i - begin);
    t.line = line;
    t.column = int(i - line_start) + 1;
    if (i >= s.size()) {
      t.kind = TokenKind::directive;  // only white space is left
      tokens_.push_back(t);
      break;
    }
    size_t n;
    if (s[i] == '#' && first_on_line) {
      t.kind = TokenKind::directive;
      n = s.find('\n', i);
      n = (n == std::string_view::npos ? s.size() : n) - i;
    } else {
      n = token_length(s.substr(i), t.kind);
    }
    t.text = s.substr(i, n);
    i += n;
    tokens_.push_back(std::move(t));
  }
}

int Tokens::next(int i) const {
  for (i++; i < size() && (tokens_[i].text.empty() || tokens_[i].kind == TokenKind::directive); i++) {}
  return i;
}

int Tokens::previous(int i) const {
  for (i--; i >= 0 && (tokens_[i].text.empty() || tokens_[i].kind == TokenKind::directive); i--) {}
  return i;
}

int Tokens::match(int i) const {
  std::string open = at(i), close = open == "(" ? ")" : open == "[" ? "]" : open == "{" ? "}" : open == "<" ? ">" : "";
  if (close.empty()) return -1;
  int depth = 0;
  for (; i < size(); i++) {
    const std::string &t = at(i);
    if (t == open) depth++;
    else if (t == close && --depth == 0) return i;
    else if (open == "<") {
      if (t == "(" || t == "[") {
        i = match(i);
        if (i < 0) return -1;
      } else if (t == ";" || t == "{" || t == "&&" || t == "||" || t == ")" || t == "]" || t == "}") {
        return -1;
      }
    }
  }
  return -1;
}

int Tokens::match_back(int i) const {
  std::string close = at(i), open = close == ")" ? "(" : close == "]" ? "[" : close == "}" ? "{" : close == ">" ? "<" : "";
  if (open.empty()) return -1;
  int depth = 0;
  for (; i >= 0; i--) {
    const std::string &t = at(i);
    if (t == close) depth++;
    else if (t == open && --depth == 0) return i;
    else if (close == ">" && (t == ";" || t == "{" || t == "}")) return -1;
  }
  return -1;
}

void Tokens::remove(int first, int last) {
  for (int i = first; i <= last; i++)
    if (tokens_[i].kind != TokenKind::directive) tokens_[i].text.clear();
}

std::string Tokens::join(int first, int last) const {
  std::string r;
  for (int i = first; i <= last; i++) {
    if (tokens_[i].kind == TokenKind::directive || tokens_[i].text.empty()) continue;
    if (!r.empty() && !tokens_[i].space.empty()) r += ' ';
    r += tokens_[i].before + tokens_[i].text + tokens_[i].after;
  }
  return r;
}

Position Tokens::position(int i) const {
  Position p;
  if (i < 0 || i >= size()) return p;
  p.column = tokens_[i].column;
  for (int k = i; k >= 0; k--) {
    const Token &t = tokens_[k];
    if (t.kind != TokenKind::directive || t.text.size() < 3 || !std::isdigit((unsigned char)t.text[2])) continue;
    p.line = std::atoi(t.text.c_str() + 2) + (tokens_[i].line - t.line - 1);
    size_t a = t.text.find('"'), b = t.text.find('"', a + 1);
    if (a != std::string::npos && b != std::string::npos) p.file = t.text.substr(a + 1, b - a - 1);
    return p;
  }
  p.line = tokens_[i].line;
  return p;
}

std::string Tokens::text(ColumnMap *map) const {
  std::string r;
  size_t line_start = 0;
  if (map) map->lines.assign(2, {});  // lines count from 1
  auto add = [&](const std::string &s) {
    for (char c : s) {
      r += c;
      if (c == '\n') {
        line_start = r.size();
        if (map) map->lines.emplace_back();
      }
    }
  };
  for (const Token &t : tokens_) {
    add(t.space);
    if (map) map->lines.back().push_back({int(r.size() - line_start) + 1, t.column});
    add(t.before);
    add(t.text);
    add(t.after);
  }
  return r;
}

bool is_identifier(std::string_view s) {
  if (s.empty() || !word_start(s[0])) return false;
  for (char c : s)
    if (!word_part(c)) return false;
  return true;
}

namespace {

class Expression {
 public:
  explicit Expression(std::string_view s) : s_(s) {}
  bool run(long &value) { return sum(value) && (space(), i_ == s_.size()); }

 private:
  std::string_view s_;
  size_t i_ = 0;

  void space() {
    while (i_ < s_.size() && std::isspace((unsigned char)s_[i_])) i_++;
  }
  bool take(char c) {
    space();
    if (i_ >= s_.size() || s_[i_] != c) return false;
    i_++;
    return true;
  }
  bool sum(long &v) {
    if (!product(v)) return false;
    for (long w;;) {
      if (take('+')) {
        if (!product(w)) return false;
        v += w;
      } else if (take('-')) {
        if (!product(w)) return false;
        v -= w;
      } else {
        return true;
      }
    }
  }
  bool product(long &v) {
    if (!primary(v)) return false;
    for (long w;;) {
      if (take('*')) {
        if (!primary(w)) return false;
        v *= w;
      } else if (take('/')) {
        if (!primary(w) || w == 0) return false;
        v /= w;
      } else {
        return true;
      }
    }
  }
  bool primary(long &v) {
    if (take('(')) return sum(v) && take(')');
    space();
    if (i_ >= s_.size() || !std::isdigit((unsigned char)s_[i_])) return false;
    char *end;
    std::string rest(s_.substr(i_));
    v = std::strtol(rest.c_str(), &end, 0);
    i_ += (size_t)(end - rest.c_str());
    while (i_ < s_.size() && (s_[i_] == 'u' || s_[i_] == 'U')) i_++;
    return true;
  }
};

}  // namespace

bool evaluate(std::string_view s, long &value) { return Expression(s).run(value); }

std::string trim(std::string_view s) {
  while (!s.empty() && std::isspace((unsigned char)s.front())) s.remove_prefix(1);
  while (!s.empty() && std::isspace((unsigned char)s.back())) s.remove_suffix(1);
  return std::string(s);
}

}  // namespace metalsim
