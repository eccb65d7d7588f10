//go:build linux && amd64

package main

import (
	"bufio"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
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

// mark starts a line of the serial port that is not the program's: "start"
// before its output, and "exit CODE" behind it.
const mark = 0x1e

// bootLimit is many times what it takes until the program starts.
const bootLimit = 5 * time.Minute

// The rate is what the processor says its clock is, so that what the kernel
// takes for a second is one for Bochs' devices, too.
const configuration = `display_library: nogui
config_interface: textconfig
cpu: model=sapphire_rapids, ips=2200000000, reset_on_triple_fault=0, ignore_bad_msrs=1, msrs=msrs
memory: guest=%[1]d, host=%[1]d
clock: sync=none, time0=utc
romimage: file=boot.rom
vgaromimage: file=boot.rom
optramimage1: file=%[2]s/kernel.ram, address=%#[3]x
optramimage2: file=params.ram, address=%#[4]x
com1: enabled=1, mode=file, dev=/dev/fd/3
pci: enabled=0
ata0: enabled=0
ata1: enabled=0
panic: action=fatal
error: action=report
info: action=ignore
debug: action=ignore
log: -
`

// Registers that Bochs is only to keep: fast strings are on; two counters; and
// those of XFD, by which the kernel learns who uses tiles.
const registers = `0x1a0 0 0 1 0 0 0 0
0x0e7 0 0 0 0 0 0 0
0x0e8 0 0 0 0 0 0 0
0x1c4 0 0 0 0 0 0 0
0x1c5 0 0 0 0 0 0 0
`

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
	if err := checkStatic(program); err != nil {
		return 0, err
	}
	files, err := pack(program, args)
	if err != nil {
		return 0, err
	}
	if least := (initrdAt+3*len(files))>>20 + 128; megabytes < least || megabytes > 3072 {
		return 0, fmt.Errorf("EMULATE_MB=%d is not between %d and 3072", megabytes, least)
	}
	tmp, err := os.MkdirTemp("", "emulate")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(tmp)
	for name, data := range map[string][]byte{
		"boot.rom":   rom(),
		"params.ram": append(bootParams(megabytes<<20, len(files)), files...),
		"msrs":       []byte(registers),
		"bochsrc":    fmt.Appendf(nil, configuration, megabytes, dir, entryAt, paramsAt),
	} {
		if err := os.WriteFile(filepath.Join(tmp, name), data, 0o600); err != nil {
			return 0, err
		}
	}
	log, err := os.Create(filepath.Join(tmp, "log"))
	if err != nil {
		return 0, err
	}
	defer log.Close()
	serial, theirs, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer serial.Close()

	// Bochs dies with the thread that started it, so also where this process is
	// killed.
	runtime.LockOSThread()
	cmd := exec.Command(filepath.Join(dir, "bochs"), "-q", "-f", "bochsrc")
	cmd.Dir = tmp
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	theirs.Close()
	defer cmd.Wait()
	defer cmd.Process.Kill()

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	started, reason := make(chan bool, 1), make(chan error, 1)
	go func() {
		boot, whole := time.After(bootLimit), time.After(time.Duration(minutes)*time.Minute)
		for {
			select {
			case <-started:
				boot = nil
				os.RemoveAll(tmp) // Bochs has read it all
				continue
			case <-boot:
				reason <- fmt.Errorf("the program did not start within %v", bootLimit)
			case <-whole:
				reason <- fmt.Errorf("stopped after EMULATE_MINUTES=%d", minutes)
			case s := <-stop:
				reason <- fmt.Errorf("stopped by signal %q", s)
			}
			cmd.Process.Kill()
			return
		}
	}()
	code, err := follow(serial, os.Stdout, started)
	if err == nil {
		return code, nil
	}
	select {
	case err := <-reason:
		return 0, err
	default:
		text, _ := os.ReadFile("/proc/self/fd/" + strconv.Itoa(int(log.Fd())))
		return 0, fmt.Errorf("%w; its log ends with\n%s", err, text[max(0, len(text)-2000):])
	}
}

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

func checkStatic(program string) error {
	f, err := elf.Open(program)
	if err != nil {
		return fmt.Errorf("%s: %w", program, err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%s needs shared libraries: build it with CGO_ENABLED=0", program)
		}
	}
	return nil
}

// follow copies what the program prints from the serial port, as it comes, and
// returns the exit code.
func follow(serial io.Reader, to io.Writer, started chan<- bool) (int, error) {
	in, out := bufio.NewReader(serial), bufio.NewWriter(to)
	defer out.Flush()
	var boot, line bytes.Buffer // the kernel's words are for when it fails
	running := false
	for {
		b, err := in.ReadByte()
		if err != nil {
			boot.WriteTo(out)
			return 0, errors.New("the emulator ended before the program")
		}
		if b == mark {
			text, _ := in.ReadString('\n')
			if code, ok := strings.CutPrefix(text, "exit "); ok {
				return strconv.Atoi(strings.TrimSuffix(code, "\n"))
			}
			running = true
			boot.Reset()
			started <- true
			continue
		}
		if running {
			out.WriteByte(b)
		} else {
			boot.WriteByte(b)
		}
		if in.Buffered() == 0 {
			out.Flush()
		}
		if line.WriteByte(b); b == '\n' {
			if bytes.Contains(line.Bytes(), []byte("end Kernel panic")) {
				boot.WriteTo(out)
				return 0, errors.New("the kernel gave up")
			}
			line.Reset()
		}
	}
}
