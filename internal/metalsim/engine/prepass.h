// prepass.h: turns preprocessed MSL into C++ that clang takes. It knows tokens, not types: templates of the msl headers do
// the rest. One function per difference between the languages, each in its own file section.
#pragma once
#include <string>
#include <vector>

#include "tokens.h"

namespace metalsim {

struct KernelParameter {
  std::string name;
  char kind;            // 'b' buffer, 't' threadgroup, 'x' refused, else a built-in value (entry.h)
  std::string index;    // expression
  std::string active;   // expression of [[function_constant(c)]], or ""
};

struct KernelFunction {
  std::string name;               // qualified with its namespaces
  std::vector<KernelParameter> parameters;
  std::string max_threads;        // expression of [[max_total_threads_per_threadgroup(n)]], or ""
  std::string max_threads_template;   // name of the function template that evaluates it, for templates
  Position position;
};

// A kernel under the name by which the library knows it.
struct KernelEntry {
  std::string host_name;
  std::string expression;   // `ns::rms<float>`
  std::string signature;    // of an instantiation whose template arguments are deduced: `(device float *a)`; else ""
  int function;             // index into Program::functions
  Position position;
};

struct FunctionConstant {
  std::string name, type;
  int index;
  bool optional;   // is_function_constant_defined is asked
};

struct Diagnostic {
  Position position;
  std::string message;
};

struct Program {
  std::vector<KernelFunction> functions;
  std::vector<KernelEntry> entries;
  std::vector<FunctionConstant> constants;
  std::vector<Diagnostic> errors;
  bool object_parameters = false;   // the rewritten source has them, which takes C++23
};

// Rewrites `tokens` and collects what the library offers.
void prepass(Tokens &tokens, Program &program);

// The C++ that calls each kernel from the argument tables; goes behind the rewritten source.
std::string entry_code(const Program &program);

// The steps, in order.
void read_attributes(Tokens &, Program &);          // attributes.cpp
void rewrite_pragmas(Tokens &);                     // declarations.cpp
void rewrite_member_qualifiers(Tokens &, Program &);  // members.cpp
void rewrite_array_parameters(Tokens &);
void rewrite_threadgroup_variables(Tokens &);
void rewrite_boolean_vectors(Tokens &);              // comparisons.cpp
void rewrite_comparisons(Tokens &);
void rewrite_strings(Tokens &);
void rewrite_constructors(Tokens &);                // constructors.cpp
void check_restrictions(const Tokens &, Program &); // restrictions.cpp

bool is_address_space(const std::string &);
bool is_vector_type(const std::string &);
bool is_scalar_type(const std::string &);

}  // namespace metalsim
