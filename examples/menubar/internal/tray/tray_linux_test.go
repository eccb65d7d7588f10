package tray_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"
)

// bus starts a session bus of the test's own.
func bus(t *testing.T) (address string) {
	t.Helper()
	cmd := exec.Command("dbus-daemon", "--session", "--nofork", "--print-address", "--address=unix:path="+filepath.Join(t.TempDir(), "bus"))
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// panel is a desktop's panel, which icons register with.
type panel struct {
	*testing.T
	conn    *dbus.Conn
	icons   chan dbus.BusObject
	signals chan *dbus.Signal
}

// RegisterStatusNotifierItem is the method of org.kde.StatusNotifierWatcher.
func (p *panel) RegisterStatusNotifierItem(path string, sender dbus.Sender) *dbus.Error {
	p.icons <- p.conn.Object(string(sender), dbus.ObjectPath(path))
	return nil
}

func startPanel(t *testing.T, address string) *panel {
	t.Helper()
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	p := &panel{T: t, conn: conn, icons: make(chan dbus.BusObject, 1), signals: make(chan *dbus.Signal, 1000)}
	if err := conn.Export(p, "/StatusNotifierWatcher", "org.kde.StatusNotifierWatcher"); err != nil {
		t.Fatal(err)
	}
	conn.Signal(p.signals)
	if err := conn.AddMatchSignal(dbus.WithMatchInterface("com.canonical.dbusmenu")); err != nil {
		t.Fatal(err)
	}
	if r, err := conn.RequestName("org.kde.StatusNotifierWatcher", dbus.NameFlagDoNotQueue); err != nil || r != dbus.RequestNameReplyPrimaryOwner {
		t.Fatal(r, err)
	}
	return p
}

// entry is one of a menu as a panel shows it.
type entry struct {
	ID      int32
	Label   string
	Enabled bool
	Tick    int32 // -1 if it is no box to tick
}

// menu reads the menu of an icon, without its separators.
func (p *panel) menu(icon dbus.BusObject) (menu dbus.BusObject, entries []entry) {
	p.Helper()
	path, err := icon.GetProperty("org.kde.StatusNotifierItem.Menu")
	if err != nil {
		p.Fatal(err)
	}
	menu = p.conn.Object(icon.Destination(), path.Value().(dbus.ObjectPath))
	var revision uint32
	var layout struct {
		ID         int32
		Properties map[string]dbus.Variant
		Children   []dbus.Variant
	}
	if err := menu.Call("com.canonical.dbusmenu.GetLayout", 0, int32(0), int32(-1), []string{}).Store(&revision, &layout); err != nil {
		p.Fatal(err)
	}
	for _, child := range layout.Children {
		fields := child.Value().([]any)
		properties := fields[1].(map[string]dbus.Variant)
		if kind, ok := properties["type"]; ok && kind.Value() == "separator" {
			continue
		}
		e := entry{ID: fields[0].(int32), Label: properties["label"].Value().(string), Enabled: properties["enabled"].Value().(bool), Tick: -1}
		if properties["toggle-type"].Value() == "checkmark" {
			e.Tick = properties["toggle-state"].Value().(int32)
		}
		entries = append(entries, e)
	}
	return menu, entries
}

// wait reads the menu until it is as want says, again after each of its signals.
func (p *panel) wait(icon dbus.BusObject, want func([]entry) bool) {
	p.Helper()
	for {
		_, entries := p.menu(icon)
		if want(entries) {
			return
		}
		select {
		case <-p.signals:
		case <-time.After(20 * time.Second):
			p.Fatalf("the menu stays %+v", entries)
		}
	}
}

func (p *panel) click(icon dbus.BusObject, label string) {
	p.Helper()
	menu, entries := p.menu(icon)
	i := slices.IndexFunc(entries, func(e entry) bool { return e.Label == label })
	if i < 0 {
		p.Fatalf("%q is not in the menu %+v", label, entries)
	}
	if err := menu.Call("com.canonical.dbusmenu.Event", 0, entries[i].ID, "clicked", dbus.MakeVariant(""), uint32(0)).Err; err != nil {
		p.Fatal(err)
	}
}

// program is the process with the tray.
type program struct {
	*testing.T
	in   io.WriteCloser
	out  *bufio.Reader
	errs strings.Builder
	cmd  *exec.Cmd
}

func start(t *testing.T, env ...string) *program {
	t.Helper()
	p := &program{T: t, cmd: exec.CommandContext(t.Context(), os.Args[0])}
	p.cmd.Env = append(os.Environ(), append([]string{"OPENELM_TEST_TRAY=1", "XDG_CONFIG_HOME=" + t.TempDir()}, env...)...)
	p.cmd.Stderr = &p.errs
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in, p.out = in, bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *program) says(want string) {
	p.Helper()
	line, err := p.out.ReadString('\n')
	if line != want+"\n" {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		p.Fatalf("the program says %q (%v), want %q; its log:\n%s", line, err, want, p.errs.String())
	}
}

func (p *program) tell(line string) {
	p.Helper()
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		p.Fatal(err)
	}
}

// ends waits for the program's end and returns its log.
func (p *program) ends() string {
	p.Helper()
	p.says("ended <nil> <nil>, watched by 0")
	if err := p.cmd.Wait(); err != nil {
		p.Error(err)
	}
	return p.errs.String()
}

func TestTray(t *testing.T) {
	address := bus(t)
	panel := startPanel(t, address)
	config := t.TempDir()
	program := start(t, "DBUS_SESSION_BUS_ADDRESS="+address, "XDG_CONFIG_HOME="+config)
	icon := <-panel.icons

	for _, name := range []string{"Title", "Id"} {
		if v, err := icon.GetProperty("org.kde.StatusNotifierItem." + name); err != nil || v.Value() != "OpenELM" {
			t.Errorf("the icon's %s is %v, error %v", name, v, err)
		}
	}
	pixmap, err := icon.GetProperty("org.kde.StatusNotifierItem.IconPixmap")
	if err != nil {
		t.Fatal(err)
	}
	picture := pixmap.Value().([][]any)[0]
	width, height, argb := picture[0].(int32), picture[1].(int32), picture[2].([]byte)
	inked := 0
	for i := 0; i < len(argb); i += 4 {
		if argb[i] == 255 {
			inked++
		}
	}
	if width != 64 || height != 64 || len(argb) != 4*64*64 || inked < 64*64/8 || inked > 64*64/2 {
		t.Errorf("the picture is %dx%d of %d bytes, %d pixels are of the leaf", width, height, len(argb), inked)
	}

	_, entries := panel.menu(icon)
	for i := range entries {
		entries[i].ID = 0
	}
	want := []entry{
		{0, "Story model · not in memory", false, -1}, {0, "Open OpenELM", true, -1}, {0, "Open with the Clipboard", true, -1},
		{0, "Unload Now", false, -1}, {0, "Start at Login", true, 0}, {0, "Quit OpenELM", true, -1},
	}
	if diff := cmp.Diff(want, entries); diff != "" {
		t.Errorf("the menu (-want +got)\n%s", diff)
	}

	panel.click(icon, "Open OpenELM")
	program.says("open http://127.0.0.1:1/?ticket=1")
	if err := icon.Call("org.kde.StatusNotifierItem.Activate", 0, int32(0), int32(0)).Err; err != nil { // a left click
		t.Error(err)
	}
	program.says("open http://127.0.0.1:1/?ticket=2")
	program.tell("show")
	program.says("open http://127.0.0.1:1/?ticket=3")
	panel.click(icon, "Open with the Clipboard")
	program.says("offer from the clipboard")
	program.says("open http://127.0.0.1:1/?ticket=4")

	state, err := json.Marshal(desktop.State{Status: desktop.Ready, Model: "apple/OpenELM-1_1B-Instruct", MemoryBytes: 2_160_000_000, TokensPerSecond: 41.6})
	if err != nil {
		t.Fatal(err)
	}
	program.tell(string(state))
	panel.wait(icon, func(e []entry) bool {
		return e[0].Label == "OpenELM-1_1B-Instruct · 2160 MB · 42 tokens/s" && e[3].Enabled
	})
	panel.click(icon, "Unload Now")
	program.says("unload")

	file := filepath.Join(config, "autostart", "org.example.test.desktop")
	for i, on := range []bool{true, false, true, false} {
		if i < 2 {
			panel.click(icon, "Start at Login")
		} else {
			program.tell("login") // on the page
		}
		program.says(fmt.Sprintf("start at login %t", on))
		panel.wait(icon, func(e []entry) bool { return (e[4].Tick == 1) == on })
		for until := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			if _, err := os.Stat(file); (err == nil) == on {
				break
			}
			if time.Now().After(until) {
				t.Fatalf("it starts at login: %t, want %t", !on, on)
			}
		}
	}

	panel.click(icon, "Quit OpenELM")
	if log := program.ends(); log != "" {
		t.Errorf("its log:\n%s", log)
	}
}

// TestNoLogin: a box is not ticked for what the system does not do, and the menu says
// why.
func TestNoLogin(t *testing.T) {
	address := bus(t)
	panel := startPanel(t, address)
	config := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(config, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	program := start(t, "DBUS_SESSION_BUS_ADDRESS="+address, "XDG_CONFIG_HOME="+filepath.Join(config, "not-a-folder"))
	icon := <-panel.icons
	for range 2 {
		panel.click(icon, "Start at Login")
		program.says("start at login true")
		program.says("start at login false")
		panel.wait(icon, func(e []entry) bool {
			return e[4].Tick == 0 && strings.Contains(e[0].Label, "Start at login was not changed")
		})
	}
	program.tell("quit")
	if log := program.ends(); !strings.Contains(log, "start at login") {
		t.Errorf("its log:\n%s", log)
	}
}

// TestHide hides the icon of a program that goes on; and what starts at login
// already, as the system says, is a setting.
func TestHide(t *testing.T) {
	address, config := bus(t), t.TempDir()
	panel := startPanel(t, address)
	if err := os.MkdirAll(filepath.Join(config, "autostart"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(config, "autostart", "org.example.test.desktop"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	program := start(t, "DBUS_SESSION_BUS_ADDRESS="+address, "XDG_CONFIG_HOME="+config)
	program.says("start at login true")
	icon := <-panel.icons
	if err := panel.conn.AddMatchSignal(dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, icon.Destination())); err != nil {
		t.Fatal(err)
	}
	program.tell("hide")
	program.says("start at login true")
	for s := range panel.signals {
		if s.Name == "org.freedesktop.DBus.NameOwnerChanged" && s.Body[0] == icon.Destination() && s.Body[2] == "" {
			break
		}
	}
	program.tell("show")
	program.says("open http://127.0.0.1:1/?ticket=1")
	program.tell("quit")
	if log := program.ends(); log != "" {
		t.Errorf("its log:\n%s", log)
	}
}

// TestLatePanel starts the panel after the program, and again.
func TestLatePanel(t *testing.T) {
	address := bus(t)
	program := start(t, "DBUS_SESSION_BUS_ADDRESS="+address)
	program.says("open http://127.0.0.1:1/?ticket=1")
	for range 2 {
		panel := startPanel(t, address)
		panel.click(<-panel.icons, "Unload Now")
		program.says("unload")
		panel.conn.Close()
	}
	program.tell("quit")
	if log := program.ends(); !strings.Contains(log, "org.kde.StatusNotifierWatcher") || !strings.Contains(log, "AppIndicator") {
		t.Errorf("its log does not say what is missing:\n%s", log)
	}
}

// TestNoIcon: without a bus, a panel or a wish for an icon there is the page.
func TestNoIcon(t *testing.T) {
	nowhere := "DBUS_SESSION_BUS_ADDRESS=unix:path=" + filepath.Join(t.TempDir(), "nothing")
	for name, c := range map[string]struct {
		env  []string
		open bool
		log  string
	}{
		"no bus":        {[]string{nowhere}, true, "there is no session bus"},
		"not even":      {[]string{nowhere, "OPENELM_TEST_BROWSER=none"}, true, "open it yourself\" address=\"http://127.0.0.1:1/?ticket=1\""},
		"hidden":        {[]string{nowhere, "OPENELM_TEST_HIDE=1"}, false, ""},
		"hidden, asked": {[]string{nowhere, "OPENELM_TEST_HIDE=1", "OPENELM_TEST_SHOW=1"}, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			program := start(t, c.env...)
			if c.open {
				program.says("open http://127.0.0.1:1/?ticket=1")
			}
			program.tell("quit")
			if log := program.ends(); !strings.Contains(log, c.log) || c.log == "" && log != "" {
				t.Errorf("its log does not say %q:\n%s", c.log, log)
			}
		})
	}
}
