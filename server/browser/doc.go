// Package browser tests the page of openelm serve in headless Chromium. It is a
// module of its own, so that a program that imports the library does not inherit
// what drives the browser.
package browser
