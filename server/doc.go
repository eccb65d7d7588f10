// Package server serves OpenELM models over HTTP, with the endpoints of OpenAI's
// API and of Ollama's, and those that evaluations use. docs/server.md lists them with their
// parameters; the command is openelm serve.
//
// A [Server] is an http.Handler over models by name. It makes a session for each
// text, in the model's [openelm.Batch], so that requests share passes over the
// weights; what a request gets is the same whoever else is served, and with and
// without the prefix cache.
//
// # Trust
//
// Requests are read as if an enemy had sent them: bounded in size, depth, time
// and number, of known parameters and types only. Every parameter is obeyed,
// refused by name, or documented as one that cannot have an effect. The handler
// refuses other hosts and origins than those of this machine (DNS rebinding, web
// pages). A reader who stalls loses its stream after a second; a panic or a
// failure of the device ends the request that it happened in.
package server
