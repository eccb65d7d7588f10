// Package schema makes a model write JSON that a JSON schema describes.
//
//	s, err := schema.Of[Person]() // or schema.Compile, from a schema's text
//	v, err := schema.NewVocabulary(model)
//	options.Constraint = v.Constraint(s)
//
// [Generate] does all of that and decodes the answer. A schema becomes an automaton
// over bytes with a stack, and a [Vocabulary] the set of its pieces' bytes; what the
// automaton can take of them is the mask of the tokens that may come next. Tokens
// that end a text may come when the value is complete, and only then. Whatever is
// written so far can always be completed; a limit on the number of tokens may
// still come before.
//
// # The subset
//
// These keywords are obeyed: type (one or several), enum, const, properties,
// required, additionalProperties, items, prefixItems, minItems, maxItems, minLength,
// maxLength, minimum, maximum, exclusiveMinimum, exclusiveMaximum, anyOf, oneOf of
// alternatives that are seen to exclude each other, allOf of one, and $ref to places
// in the same schema, recursion included. title, description, default, examples,
// $schema, $id, $comment, $defs, definitions, deprecated, readOnly, writeOnly and
// discriminator change nothing. Any other keyword, and one in a company in which it
// is not implemented, is an [*Error] that names its place.
//
// What is written is narrower than what the schema allows, so that it stays short
// and has one form:
//
//   - no white space but one optional space after a colon and a comma;
//   - properties in the order of the schema, then additional ones. Where
//     additionalProperties is absent, there are none but in an object without
//     properties. An additional property may come twice;
//   - without a type, a value of the type that the other keywords are about;
//   - numbers of up to 15 digits before and 15 after the point and exponents of up to
//     two digits, none where the number is bounded; an integer has no point;
//   - characters spelled as themselves, but for those that must be escaped;
//   - values of which the schema says nothing nested 8 deep at most.
//
// A schema has 1 MiB at most, and 20,000 parts, the values of enums among them; one
// that would take long to compile for its nesting is an error too.
package schema
