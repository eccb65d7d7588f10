//go:build linux && amd64

package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// job is what the first process inside is to do, in a file of the first file
// system.
type job struct {
	Args, Env []string
	Dir       string
}

const (
	jobFile     = "/job.json"
	programFile = "/program"
	// A line of the serial port that starts with mark is not the program's:
	// "start" before its output, and "exit CODE" behind it.
	mark = 0x1e
)

// bootLimit is many times what it takes until the program starts.
const bootLimit = 5 * time.Minute

// run runs program in the emulator and returns its exit code.
func run(dir, program string, args []string) (int, error) {
	megabytes, err := number("EMULATE_MB", 1024)
	if err != nil {
		return 0, err
	}
	minutes, err := number("EMULATE_MINUTES", 60)
	if err != nil {
		return 0, err
	}
	tmp, err := os.MkdirTemp("", "emulate")
	if err != nil {
		return 0, err
	}
	if os.Getenv("EMULATE_KEEP") == "" {
		defer os.RemoveAll(tmp)
	}
	files, err := pack(program, args)
	if err != nil {
		return 0, err
	}
	size := len(files)
	if initrdAt>>20+size>>20+128 > megabytes {
		return 0, fmt.Errorf("%d MB is too little memory for a program of %d MB", megabytes, size>>20)
	}
	if err := os.WriteFile(filepath.Join(tmp, "params.ram"), append(bootParams(megabytes<<20, len(files)), files...), 0o600); err != nil {
		return 0, err
	}
	if err := os.WriteFile(filepath.Join(tmp, "boot.rom"), rom(), 0o600); err != nil {
		return 0, err
	}
	ips, err := number("EMULATE_IPS", 2200)
	if err != nil {
		return 0, err
	}
	config := filepath.Join(tmp, "bochsrc")
	lines := fmt.Sprintf(`display_library: nogui
config_interface: textconfig
cpu: model=sapphire_rapids, ips=%[1]d000000, reset_on_triple_fault=0, ignore_bad_msrs=1, msrs=msrs
memory: guest=%[2]d, host=%[2]d
clock: sync=none, time0=utc
romimage: file=boot.rom
vgaromimage: file=boot.rom
optramimage1: file=%[3]s/kernel.ram, address=%#[4]x
optramimage2: file=params.ram, address=%#[5]x
com1: enabled=1, mode=file, dev=/dev/fd/3
pci: enabled=0
ata0: enabled=0
ata1: enabled=0
panic: action=fatal
error: action=report
info: action=ignore
debug: action=ignore
log: bochs.log
`, ips, megabytes, dir, entryAt, paramsAt)
	msrs := "0x1c4 0 0 0 0 0 0 0\n0x1c5 0 0 0 0 0 0 0\n"
	if err := os.WriteFile(filepath.Join(tmp, "msrs"), []byte(msrs), 0o600); err != nil {
		return 0, err
	}
	if err := os.WriteFile(config, []byte(lines), 0o600); err != nil {
		return 0, err
	}

	// The emulator dies with this process, however this one ends; that counts by
	// thread.
	runtime.LockOSThread()
	cmd := exec.Command(filepath.Join(dir, "bochs"), "-q", "-f", config)
	cmd.Env = []string{"HOME=" + tmp}
	cmd.Dir = tmp
	screen, err := os.Create(filepath.Join(tmp, "screen"))
	if err != nil {
		return 0, err
	}
	cmd.Stdout, cmd.Stderr = screen, screen
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	serial, theirs, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	cmd.ExtraFiles = []*os.File{theirs}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	theirs.Close()
	defer cmd.Wait() //nolint
	defer cmd.Process.Kill()

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	started := make(chan struct{})
	var reason error
	go func() {
		boot, whole := time.After(bootLimit), time.After(time.Duration(minutes)*time.Minute)
		for {
			select {
			case <-started:
				boot, started = nil, nil
				continue
			case <-boot:
				reason = fmt.Errorf("nothing started within %v", bootLimit)
			case <-whole:
				reason = fmt.Errorf("stopped after %d minutes: EMULATE_MINUTES sets more", minutes)
			case s := <-stop:
				reason = fmt.Errorf("stopped by signal %v", s)
			}
			cmd.Process.Kill()
			return
		}
	}()
	_ = begin
	code, err := follow(serial, os.Stdout, started)
	if err == nil {
		return code, nil
	}
	return 0, errors.Join(reason, err)
}

var errCutOff = errors.New("the emulator ended before the program did")

func number(name string, fallback int) (int, error) {
	text := os.Getenv(name)
	if text == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("%s=%s is not a number above 0", name, text)
	}
	return n, nil
}

// follow copies what the program prints from the serial port, as it comes, and
// returns the exit code.
func follow(serial io.Reader, to io.Writer, started chan<- struct{}) (int, error) {
	in, out := bufio.NewReader(serial), bufio.NewWriter(to)
	defer out.Flush()
	var boot bytes.Buffer // what the kernel has to say is for when it fails
	running := false
	for {
		b, err := in.ReadByte()
		if err != nil {
			out.Write(boot.Bytes())
			return 0, errCutOff
		}
		if b != mark {
			if running {
				out.WriteByte(b)
			} else {
				boot.WriteByte(b)
			}
			if in.Buffered() == 0 {
				out.Flush()
			}
			continue
		}
		line, _ := in.ReadString('\n')
		if line == "start\n" {
			running = true
			boot.Reset()
			close(started)
		} else if text, ok := strings.CutPrefix(line, "exit "); ok {
			return strconv.Atoi(strings.TrimSuffix(text, "\n"))
		}
	}
}

// bootParams returns the "zero page" of the boot protocol and, behind it, the
// kernel's command line.
func bootParams(memory, initrd int) []byte {
	var commandLine = os.Getenv("EMULATE_ARGS") + " console=ttyS0,115200 quiet panic=-1 reboot=t nokaslr mitigations=off" +
		" acpi=off tsc=reliable clocksource=tsc no_timer_check 8250.nr_uarts=1 random.trust_cpu=on" +
		" nmi_watchdog=0 nosoftlockup audit=0 apparmor=0 selinux=0"
	page := make([]byte, initrdAt-paramsAt)
	le := binary.LittleEndian
	le.PutUint16(page[0x1fe:], 0xaa55)
	copy(page[0x202:], "HdrS")
	le.PutUint16(page[0x206:], 0x20f)
	page[0x210] = 0xff // an unknown boot loader
	page[0x211] = 1    // LOADED_HIGH
	le.PutUint32(page[0x218:], initrdAt)
	le.PutUint32(page[0x21c:], uint32(initrd))
	le.PutUint32(page[0x228:], paramsAt+4096)
	le.PutUint32(page[0x230:], 2<<20) // kernel_alignment
	le.PutUint32(page[0x238:], 2047)  // the longest command line
	ranges := [][2]int{{0, 0x9f000}, {1 << 20, memory}}
	page[0x1e8] = byte(len(ranges))
	for i, r := range ranges {
		entry := page[0x2d0+20*i:]
		le.PutUint64(entry, uint64(r[0]))
		le.PutUint64(entry[8:], uint64(r[1]-r[0]))
		le.PutUint32(entry[16:], 1)
	}
	copy(page[4096:], commandLine)
	return page
}

// pack returns the first file system: this program as the first process, the
// program to run, what it is to do, and the testdata of the current folder, which
// keeps its name inside.
func pack(program string, args []string) ([]byte, error) {
	here, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	todo := job{Args: args, Dir: here}
	for _, pair := range os.Environ() {
		if strings.HasPrefix(pair, "GO") || strings.HasPrefix(pair, "RAPID") {
			todo.Env = append(todo.Env, pair)
		}
	}
	text, err := json.Marshal(todo)
	if err != nil {
		return nil, err
	}
	a := archive{made: map[string]bool{"/": true}}
	a.file(jobFile, text)
	for _, name := range []string{here, "/dev", "/proc", "/sys", "/tmp"} {
		a.folder(name)
	}
	for name, from := range map[string]string{"/init": "/proc/self/exe", programFile: program} {
		data, err := os.ReadFile(from)
		if err != nil {
			return nil, err
		}
		a.file(name, data)
	}
	root := filepath.Join(here, "testdata")
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case name == root && errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case d.IsDir():
			a.folder(name)
			return nil
		}
		data, err := os.ReadFile(name)
		if err == nil {
			a.file(name, data)
		}
		return err
	})
	a.add("/TRAILER!!!", 0, nil)
	return a.data, err
}

// archive writes the "newc" format of cpio.
type archive struct {
	data []byte
	made map[string]bool
}

func (a *archive) file(name string, data []byte) { a.add(name, syscall.S_IFREG|0o755, data) }

func (a *archive) folder(name string) {
	if !a.made[name] {
		a.made[name] = true
		a.folder(filepath.Dir(name))
		a.add(name, syscall.S_IFDIR|0o777, nil)
	}
}

func (a *archive) add(name string, mode int, data []byte) {
	name = name[1:]
	a.data = fmt.Appendf(a.data, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		len(a.data), mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0, name)
	a.data = append(a.data, make([]byte, -len(a.data)&3)...)
	a.data = append(a.data, data...)
	a.data = append(a.data, make([]byte, -len(a.data)&3)...)
}
