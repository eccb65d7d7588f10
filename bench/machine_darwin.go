package bench

import (
	"encoding/binary"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func hardware() (cpu string, memory int64) {
	cpu, err := unix.Sysctl("machdep.cpu.brand_string")
	if err != nil {
		cpu = ""
	}
	if size, err := unix.SysctlUint64("hw.memsize"); err == nil {
		memory = int64(size)
	}
	return cpu, memory
}

// load is the load average of the last minute: struct loadavg of
// <sys/sysctl.h> is three fixed-point averages and, aligned, their scale.
func load() float64 {
	b, err := unix.SysctlRaw("vm.loadavg")
	if err != nil || len(b) < 24 {
		return 0
	}
	scale := binary.LittleEndian.Uint64(b[16:])
	if scale == 0 {
		return 0
	}
	return float64(binary.LittleEndian.Uint32(b)) / float64(scale)
}

// resident is the memory of this process, now and at most. Without cgo, only
// ps tells the former.
func resident() (now, peak int64) {
	if text, err := exec.Command("ps", "-o", "rss=", "-p", strconv.Itoa(os.Getpid())).Output(); err == nil {
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil {
			now = n << 10
		}
	}
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err == nil {
		peak = usage.Maxrss // bytes, on this system
	}
	return now, peak
}
