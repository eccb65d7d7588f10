package instance_test

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestOtherUser: another user's process is not answered, even where the socket lets
// it in.
func TestOtherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to be somebody else")
	}
	dir, err := os.MkdirTemp("", "") // not t.TempDir, whose parents others cannot enter
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	i := claim(t, dir, func() bool { t.Error("shown for another user"); return true })
	defer i.Close()
	socket := filepath.Join(dir, "socket")
	for name, mode := range map[string]os.FileMode{dir: 0o755, socket: 0o777} {
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	told := make(chan string)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		const keep = ^uintptr(0)
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, keep, 12345, keep); errno != 0 {
			told <- errno.Error()
			return
		}
		c, err := net.Dial("unix", socket)
		if err != nil {
			told <- err.Error()
			return
		}
		defer c.Close()
		c.Write([]byte("show\n"))
		text := make([]byte, 10)
		n, _ := c.Read(text)
		told <- string(text[:n])
	}()
	if text := <-told; text != "" {
		t.Errorf("another user is told %q", text)
	}
}
