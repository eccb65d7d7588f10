// Package plot draws the reports of package bench: the roofline with every
// measurement on it, how speed grows with threads and falls with the length of
// the context, and how engines use the memory. It is a package of its own
// because of what it imports.
package plot
