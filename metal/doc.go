// Package metal is the compute part of Apple's Metal for Go, without cgo.
package metal
