// Package metalsim is Metal on Linux, for tests: a program that uses package metal runs unchanged on a machine without a
// GPU, down to every line of its kernels, and what a real GPU or Apple's compiler would punish is an error with a source
// line.
//
// [Build] compiles the simulator, a shared library in C++ that is embedded in this package. [Start] does that in a test,
// points package metal to it, and fails the test for violations and leaks; [Open] is the same without a test. The library
// has two parts: engine turns MSL source into kernels, runs and checks them; runtime is an Objective-C runtime with the
// Metal classes.
//
// README.md says what is checked, what is not modelled, and which published kernels were run.
package metalsim
