// Package assistant is the assistant behind the icon: it runs the model, in a
// [server.Server] of its own process, and serves the page to this person's browser
// and to nobody else.
//
// # Life
//
// Nothing is in memory at the start. The first question opens the model, which is
// closed again when nobody asked anything for a while, when the system is short of
// memory, and when another one is chosen; an answer under way is finished first.
// While nothing happens there is no timer but the one that unloads, and no goroutine
// that wakes up.
//
// # Trust
//
// The page is at a random port of loopback. Its address ends with a ticket, in the
// fragment, which browsers send to nobody: the page exchanges it, once, for a token
// that it keeps for as long as the tab is open and presents with each request. There
// are no cookies, which other ports of this machine would be sent, too. Requests of
// other hosts, of web pages of other origins and without the token are refused, and
// on Linux a ticket is taken from this user's processes only, since others may read
// the command line that opens a browser.
package assistant
