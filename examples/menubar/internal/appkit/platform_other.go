//go:build !darwin

package appkit

// frameworks are what table.go declares, in order of search: none, but in tests.
var frameworks []string
