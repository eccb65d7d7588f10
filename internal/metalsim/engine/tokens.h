// tokens.h: preprocessed source as a list of tokens that can be changed in place. Columns and lines survive, so that
// compiler messages can be mapped back.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace metalsim {

enum class TokenKind { word, number, string, punctuation, directive };

struct Token {
  TokenKind kind;
  std::string space;           // white space in front
  std::string text;            // empty: removed
  std::string before, after;   // what a rewriting added
  int line, column;            // in the preprocessed text, from 1
};

// Where a token came from, through the preprocessor's line markers.
struct Position {
  std::string file;
  int line = 0, column = 0;
};

class Tokens {
 public:
  explicit Tokens(std::string_view text);

  int size() const { return (int)tokens_.size(); }
  Token &operator[](int i) { return tokens_[i]; }
  // Text of token i, "" past the ends.
  const std::string &at(int i) const { return i >= 0 && i < size() ? tokens_[i].text : empty_; }
  bool is_word(int i) const { return i >= 0 && i < size() && tokens_[i].kind == TokenKind::word && !tokens_[i].text.empty(); }
  // The neighbours that are neither removed nor directives; -1 or size() at the ends.
  int next(int i) const;
  int previous(int i) const;
  // The closer of the bracket at i, or -1. For '<' only if what follows can be a template argument list.
  int match(int i) const;
  // The opener of the bracket at i, or -1.
  int match_back(int i) const;
  void remove(int first, int last);
  // Source text of tokens [first, last], without what was removed.
  std::string join(int first, int last) const;
  Position position(int i) const;

  // The text with all changes. The second form also tells, for each line, which output column came from which input column.
  struct ColumnMap {
    struct Step {
      int output, input;
    };
    std::vector<std::vector<Step>> lines;
  };
  std::string text(ColumnMap *map = nullptr) const;

 private:
  std::vector<Token> tokens_;
  std::string empty_;
};

bool is_identifier(std::string_view s);
std::string trim(std::string_view s);
// The value of an integer expression of literals with + - * / ( ). False: it is something else.
bool evaluate(std::string_view s, long &value);

}  // namespace metalsim
