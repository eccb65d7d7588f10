// Package clients tests openelm serve with programs that nobody here wrote:
// OpenAI's clients for Python, JavaScript and Go, Ollama's for Python, instructor,
// lm-evaluation-harness and HAProxy. They are a module of their own, so that a program that imports the
// library does not inherit them. What is not written in Go is installed, in
// pinned versions, into an environment in the user's cache.
package clients
