package cpu

import (
	"sync"

	"golang.org/x/sys/unix"
)

// permitAMX asks the kernel, once, to let the process use tile registers, which
// are too large for it to save for everybody (Linux, arch_prctl(2) and
// Documentation/arch/x86/xstate.rst).
var permitAMX = sync.OnceValue(func() bool {
	const (
		requestPermission = 0x1023 // ARCH_REQ_XCOMP_PERM
		tileData          = 18     // XFEATURE_XTILE_DATA
	)
	_, _, errno := unix.RawSyscall(unix.SYS_ARCH_PRCTL, requestPermission, tileData, 0)
	return errno == 0
})
