package assistant

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// sameUser reports whether the process at the other end of a connection on loopback
// is this user's: any other one may have read the ticket from the command line of
// what opens the browser. The kernel lists each socket with its owner.
func sameUser(here, there string) bool {
	local, err := netip.ParseAddrPort(here)
	if err != nil {
		return true // no TCP, as in tests
	}
	remote, err := netip.ParseAddrPort(there)
	if err != nil {
		return false
	}
	f, err := os.Open("/proc/self/net/tcp")
	if err != nil {
		return true // without /proc nobody reads command lines either
	}
	defer f.Close()
	return owner(f, remote, local) == strconv.Itoa(os.Getuid())
}

// owner is the user that a list of sockets names for that between two addresses, ""
// if there is none.
func owner(list io.Reader, local, remote netip.AddrPort) string {
	want := kernelAddress(local) + " " + kernelAddress(remote)
	for lines := bufio.NewScanner(list); lines.Scan(); {
		// Number, the two addresses, state, queues, timer, retransmissions, user.
		if words := strings.Fields(lines.Text()); len(words) > 7 && words[1]+" "+words[2] == want {
			return words[7]
		}
	}
	return ""
}

// kernelAddress is an address as /proc/net/tcp writes it: the bytes of the address
// as a number of this machine, and the port.
func kernelAddress(a netip.AddrPort) string {
	ip := a.Addr().As4()
	return fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(ip[:]), a.Port())
}
