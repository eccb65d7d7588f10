package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// hardware is the processor's name, with its family and model where the name
// says little (virtual machines), and the size of the memory.
func hardware() (cpu string, memory int64) {
	info := fields("/proc/cpuinfo")
	cpu = info["model name"]
	if family := info["cpu family"]; family != "" {
		cpu = fmt.Sprintf("%s (family %s model %s stepping %s)", cpu, family, info["model"], info["stepping"])
	} else if part := info["CPU part"]; part != "" {
		cpu = strings.TrimSpace(fmt.Sprintf("%s implementer %s part %s", cpu, info["CPU implementer"], part))
	}
	return cpu, kilobytes(fields("/proc/meminfo")["MemTotal"])
}

// load is the load average of the last minute.
func load() float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), " ")
	v, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0
	}
	return v
}

// resident is the memory of this process, now and at most. The peak that
// getrusage has would include the parent's, from before exec.
func resident() (now, peak int64) {
	status := fields("/proc/self/status")
	return kilobytes(status["VmRSS"]), kilobytes(status["VmHWM"])
}

// fields reads the first value of each name of a file in /proc.
func fields(path string) map[string]string {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	values := map[string]string{}
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		name, value, ok := strings.Cut(s.Text(), ":")
		name = strings.TrimSpace(name)
		if _, set := values[name]; ok && !set {
			values[name] = strings.TrimSpace(value)
		}
	}
	return values
}

func kilobytes(s string) int64 {
	n, err := strconv.ParseInt(strings.TrimSuffix(s, " kB"), 10, 64)
	if err != nil {
		return 0
	}
	return n << 10
}
