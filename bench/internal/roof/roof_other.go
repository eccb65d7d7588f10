//go:build !amd64 && !arm64

package roof

func level() string { return "Go" }

func read(a, b []byte, _ bool) { readGo(a, b) }

func mulAdd(n int) int { return mulAddGo(n) }

func loadMulAdd(*byte, int) int { return 0 }

func chained(int) int { return 0 }

func added(int) int { return 0 }

func tiles(int, bool) float64 { return 0 }
