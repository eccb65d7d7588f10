//go:build !amd64 && !arm64

package roof

func level() string { return "Go" }

func read(a, b []byte, _ bool) { readGo(a, b) }

func mulAdd(n int) int { return mulAddGo(n) }
