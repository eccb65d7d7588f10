package assistant

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// The kernel's list as a machine has it, after its heading.
const sockets = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 26271 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F90 0100007F:B5C2 01 00000000:00000000 00:00000000 00000000  1000        0 30221 1 0000000000000000 20 4 30 10 -1
   2: 0100007F:B5C2 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1001        0 30220 1 0000000000000000 20 4 30 10 -1
`

func TestOwner(t *testing.T) {
	here, there := netip.MustParseAddrPort("127.0.0.1:8080"), netip.MustParseAddrPort("127.0.0.1:46530")
	if uid := owner(strings.NewReader(sockets), there, here); uid != "1001" {
		t.Errorf("the other end is %q's", uid)
	}
	if uid := owner(strings.NewReader(sockets), netip.MustParseAddrPort("127.0.0.1:46531"), here); uid != "" {
		t.Errorf("no connection is %q's", uid)
	}
}

// TestOtherUser: a process of another user that has read the address from a command
// line gets nothing, and this user's browser still does.
func TestOtherUser(t *testing.T) {
	if address := os.Getenv("OPENELM_TEST_PAGE"); address != "" {
		status, _ := exchange(t, address)
		fmt.Println("status", status, "user", os.Getuid())
		return
	}
	if os.Getuid() != 0 {
		t.Log("only root can start a process of another user; the list of sockets was read in TestOwner")
		return
	}
	a, err := New(Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close(t.Context())
	address := a.Page()
	program := t.TempDir() + "/other"
	text, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(program, text, 0o755)
	}
	for dir := t.TempDir(); err == nil && dir != "/tmp" && dir != "/"; dir = dir[:max(1, strings.LastIndex(dir, "/"))] {
		err = os.Chmod(dir, 0o755)
	}
	if err == nil {
		err = os.Chmod(program[:strings.LastIndex(program, "/")], 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-test.run=^TestOtherUser$", "-test.v")
	cmd.Dir = "/"
	cmd.Env = []string{"OPENELM_TEST_PAGE=" + address}
	const nobody = 65534
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if want := "status 403 user " + strconv.Itoa(nobody); err != nil || !strings.Contains(string(out), want) {
		t.Errorf("%v, want %s:\n%s", err, want, out)
	}
	if status, token := exchange(t, address); status != 200 || token == "" {
		t.Errorf("this user's browser is answered %d", status)
	}
}
