package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/go-openelm/go-openelm/chat"
	"github.com/go-openelm/go-openelm/internal/browse"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/server"
	"github.com/spf13/cobra"
)

const (
	defaultAddr = "127.0.0.1:8642"
	keyVariable = "OPENELM_API_KEY"
	maxHeaders  = 64 << 10
	drainMargin = 2 * time.Second // to close everything once requests are over
)

// serveFlags say what to serve, where and to whom.
type serveFlags struct {
	addr, unix, keyFile, name, layout string
	noKey, open                       bool
	adapters, also                    []string
	places, queue, cacheMiB           int
	memoryMiB, diskMiB                int64
	cacheDir                          string
	idle                              time.Duration
	drain                             time.Duration
	o                                 server.Options
}

func serveCommand(m *modelFlags, s *signals) *cobra.Command {
	f := &serveFlags{}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve models over HTTP, with OpenAI's and Ollama's APIs",
		Long: `Serve models to the programs of this machine, with the APIs of OpenAI and Ollama,
and what evaluations need. docs/server.md in the repository lists endpoints and
parameters.

The address is the first line on standard output. Only this machine reaches the
default one, ` + defaultAddr + `; any other needs a key, in the environment
(` + keyVariable + `) or in a file, or --no-key.

The first interrupt or SIGTERM lets requests finish, the second ends at once.`,
		Example: `  openelm serve --open
  openelm serve --model apple/OpenELM-1_1B-Instruct --adapter pirate=adapters/pirate
  openelm serve --model apple/OpenELM-3B-Instruct --also small=apple/OpenELM-270M-Instruct
  OPENELM_API_KEY=secret openelm serve --addr 0.0.0.0:8642 --allow-host models.example.org`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd, m, s) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.addr, "addr", defaultAddr, "address and port to listen on; port 0 picks a free one")
	fl.StringVar(&f.unix, "unix", "", "listen on this Unix socket instead, which only you may use")
	fl.StringVar(&f.keyFile, "key-file", "", "file with the key that clients must present (default: what "+keyVariable+" holds)")
	fl.BoolVar(&f.open, "open", false, "show a page in the browser to talk to the model")
	fl.BoolVar(&f.noKey, "no-key", false, "let everybody who reaches the address use it, without a key")
	fl.StringArrayVar(&f.o.AllowHosts, "allow-host", nil, "a name besides localhost under which the server is reached, and whose web pages may use it; may be given several times")
	fl.StringArrayVar(&f.adapters, "adapter", nil, "name=folder: a LoRA or DoRA adapter, chosen by its name as the model; may be given several times")
	fl.StringArrayVar(&f.also, "also", nil, "name=checkpoint: another model, opened when a request names it; may be given several times")
	fl.DurationVar(&f.idle, "idle", 5*time.Minute, "how long models of --also stay open when nobody uses them; less than 0: for ever")
	fl.Int64Var(&f.memoryMiB, "memory", 0, "MiB that the weights of all open models may take; 0: any")
	fl.StringVar(&f.name, "name", "", "what clients call the model (default: the end of --model, or story)")
	fl.StringVar(&f.layout, "template", "auto", "how chats are laid out: auto, instruct or plain")
	fl.IntVar(&f.places, "parallel", 16, "requests that generate at a time")
	fl.IntVar(&f.queue, "queue", 64, "requests that wait for that at a time; more are told to come again")
	fl.IntVar(&f.cacheMiB, "cache", 512, "MiB of finished texts to keep for requests that begin alike; 0: none")
	fl.StringVar(&f.cacheDir, "cache-dir", "", "folder to keep texts in that --cache has no room for, and over restarts (default: none)")
	fl.Int64Var(&f.diskMiB, "cache-disk", 4096, "MiB that --cache-dir may take")
	fl.BoolVar(&f.o.TokenizeBOS, "tokenize-bos", false, "/tokenize always begins with the begin-of-text token, for evaluations")
	fl.DurationVar(&f.drain, "drain", 30*time.Second, "how long requests may take to finish after the first signal")
	return cmd
}

// check refuses flags that make no sense, before anything is opened, and reads
// the key.
func (f *serveFlags) check(cmd *cobra.Command) error {
	switch {
	case f.places < 1:
		return fmt.Errorf("--parallel %d makes no sense", f.places)
	case f.queue < 0:
		return fmt.Errorf("--queue %d makes no sense", f.queue)
	case f.cacheMiB < 0:
		return fmt.Errorf("--cache %d makes no sense", f.cacheMiB)
	case f.diskMiB < 1:
		return fmt.Errorf("--cache-disk %d makes no sense", f.diskMiB)
	case cmd.Flags().Changed("cache-disk") && f.cacheDir == "":
		return errors.New("--cache-disk is for --cache-dir")
	case f.memoryMiB < 0:
		return fmt.Errorf("--memory %d makes no sense", f.memoryMiB)
	case f.idle == 0:
		return errors.New("--idle 0 makes no sense: a model that is opened stays for a while")
	case cmd.Flags().Changed("idle") && len(f.also) == 0:
		return errors.New("--idle is for models of --also, and there are none")
	case f.drain < 0:
		return fmt.Errorf("--drain %v makes no sense", f.drain)
	case f.open && f.unix != "":
		return errors.New("--open: a browser cannot reach a socket; leave --unix out")
	case f.unix != "" && cmd.Flags().Changed("addr"):
		return errors.New("--addr and --unix are two places to listen; choose one")
	case f.layout != "auto" && f.layout != "instruct" && f.layout != "plain":
		return fmt.Errorf("no template %q; there are auto, instruct and plain", f.layout)
	}
	for _, pairs := range []struct {
		flag, what string
		list       []string
	}{{"--adapter", "folder", f.adapters}, {"--also", "checkpoint", f.also}} {
		for _, p := range pairs.list {
			if name, value, ok := strings.Cut(p, "="); !ok || name == "" || value == "" {
				return fmt.Errorf("%s %q: write name=%s", pairs.flag, p, pairs.what)
			}
		}
	}
	f.o.Key = os.Getenv(keyVariable)
	if f.keyFile != "" {
		text, err := os.ReadFile(f.keyFile)
		if err != nil {
			return fmt.Errorf("--key-file: %w", err)
		}
		if f.o.Key = strings.TrimSpace(string(text)); f.o.Key == "" {
			return fmt.Errorf("--key-file: %s holds no key", f.keyFile)
		}
	}
	if f.unix != "" {
		return nil
	}
	host, _, err := net.SplitHostPort(f.addr)
	if err != nil {
		return fmt.Errorf("--addr %q: write address:port, such as %s", f.addr, defaultAddr)
	}
	ip, err := netip.ParseAddr(host)
	if local := host == "localhost" || err == nil && ip.IsLoopback(); !local && f.o.Key == "" && !f.noKey {
		return fmt.Errorf("other machines may reach %s: give a key (%s or --key-file), or say --no-key to let everybody in", f.addr, keyVariable)
	}
	return nil
}

// listen opens the address, and returns what clients write to reach it.
func (f *serveFlags) listen() (net.Listener, string, error) {
	if f.unix != "" {
		l, err := listenUnix(f.unix)
		return l, "unix:" + f.unix, err
	}
	l, err := net.Listen("tcp", f.addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, "", fmt.Errorf("another program listens on %s; choose another port with --addr, or 0 for a free one", f.addr)
	} else if err != nil {
		return nil, "", fmt.Errorf("--addr: %w", err)
	}
	return l, "http://" + l.Addr().String(), nil
}

// listenUnix makes a socket that only this user may use. It takes the place of one
// that a program left behind, and of nothing else.
func listenUnix(name string) (net.Listener, error) {
	if info, err := os.Lstat(name); err == nil {
		if info.Mode()&os.ModeSocket == 0 {
			return nil, fmt.Errorf("--unix: %s is there, and no socket", name)
		}
		c, err := net.Dial("unix", name)
		if err == nil {
			c.Close()
			return nil, fmt.Errorf("another program listens on %s; choose another --unix", name)
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return nil, fmt.Errorf("--unix: %w", err)
		}
		if err := os.Remove(name); err != nil {
			return nil, fmt.Errorf("--unix: %w", err)
		}
	}
	l, err := net.Listen("unix", name)
	if err != nil {
		return nil, fmt.Errorf("--unix: %w", err)
	}
	if err := os.Chmod(name, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("--unix: %w", err)
	}
	return l, nil
}

func (f *serveFlags) run(cmd *cobra.Command, m *modelFlags, signals *signals) error {
	if err := f.check(cmd); err != nil {
		return err
	}
	listener, address, err := f.listen()
	if err != nil {
		return err
	}
	defer listener.Close()
	signals.allow(f.drain + drainMargin)
	f.o.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	if f.o.CacheBytes = int64(f.cacheMiB) << 20; f.cacheMiB == 0 {
		f.o.CacheBytes = -1
	}
	f.o.MemoryBytes, f.o.IdleTime = f.memoryMiB<<20, f.idle
	s := server.New(f.o)
	if f.cacheDir != "" {
		if err := s.KeepOnDisk(f.cacheDir, f.diskMiB<<20); err != nil {
			return fmt.Errorf("--cache-dir: %w", err)
		}
	}
	if _, err := fmt.Fprintln(cmd.OutOrStdout(), address); err != nil {
		return err
	}
	if !m.quiet && f.unix == "" {
		key := "none"
		if f.o.Key != "" {
			key = "…"
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "OPENAI_BASE_URL=%s/v1 OPENAI_API_KEY=%s\n", address, key)
	}
	h := &http.Server{
		Handler: s, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: maxHeaders,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // of connections; s logs what matters
	}
	if f.open {
		if err := browse.Open(pageOf(listener.Addr())); err != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "no browser was opened (%v); the page is %s\n", err, pageOf(listener.Addr()))
		}
	}
	served := make(chan error, 1)
	go func() { served <- h.Serve(limit(listener, maxConnections)) }()

	// Requests come from here on, and are told that the model is being loaded.
	model, err := m.open(cmd)
	if err == nil {
		defer model.Close()
		var close func()
		close, err = f.add(cmd, s, m, model.Model)
		defer close()
	}
	if err == nil {
		err = f.addOthers(cmd, s, m)
	}
	if err != nil {
		h.Close()
		s.Close()
		return err
	}
	s.Ready()
	select {
	case err = <-served:
		err = fmt.Errorf("serving: %w", err)
	case <-cmd.Context().Done():
		drain, cancel := context.WithTimeout(context.Background(), f.drain)
		defer cancel()
		if h.Shutdown(drain) != nil && !m.quiet {
			fmt.Fprintf(cmd.ErrOrStderr(), "requests that took longer than %v were cut off\n", f.drain)
		}
	}
	s.Close()
	h.Close()
	return err
}

// add offers the model and its adapters. close releases these, after the server.
func (f *serveFlags) add(cmd *cobra.Command, s *server.Server, m *modelFlags, model *openelm.Model) (close func(), err error) {
	var adapters []*openelm.Adapter
	close = func() {
		for _, a := range adapters {
			if a.Release != nil {
				a.Release()
			}
		}
	}
	offer, err := f.offer(f.modelName(m.name), m.name, model)
	if err != nil {
		return close, err
	}
	if err := s.Add(offer); err != nil {
		return close, err
	}
	for _, arg := range f.adapters {
		name, folder, _ := strings.Cut(arg, "=")
		a, err := loader.OpenAdapter(cmd.Context(), folder, model, m.loaderOptions(cmd))
		if err != nil {
			return close, fmt.Errorf("--adapter %s: %w", name, err)
		}
		adapters = append(adapters, a)
		offer.Name, offer.Adapter = name, a
		if err := s.Add(offer); err != nil {
			return close, err
		}
	}
	return close, nil
}

// offer is a model under a name. checkpoint is where it comes from.
func (f *serveFlags) offer(name, checkpoint string, model *openelm.Model) (server.Model, error) {
	queue := f.queue
	if queue == 0 {
		queue = -1
	}
	batch, err := openelm.NewBatch(model, &openelm.BatchOptions{Places: f.places, Queue: queue})
	o := server.Model{Name: name, Model: model, Batch: batch, Template: chat.Plain}
	if f.layout == "instruct" || f.layout == "auto" && strings.Contains(strings.ToLower(checkpoint), "instruct") {
		o.Template = chat.Instruct
	}
	return o, err
}

// addOthers offers the models that are opened at need. What is wrong with a
// checkpoint is told now.
func (f *serveFlags) addOthers(cmd *cobra.Command, s *server.Server, m *modelFlags) error {
	for _, arg := range f.also {
		name, checkpoint, _ := strings.Cut(arg, "=")
		other := *m
		other.name, other.adapter = checkpoint, ""
		info, err := loader.Inspect(cmd.Context(), checkpoint, other.loaderOptions(cmd))
		if err == nil {
			err = info.Problem
		}
		if err != nil {
			return fmt.Errorf("--also %s: %w", name, err)
		}
		open := func(ctx context.Context) ([]server.Model, func() error, error) {
			model, err := other.openContext(ctx, cmd)
			if err != nil {
				return nil, nil, err
			}
			o, err := f.offer(name, checkpoint, model.Model)
			return []server.Model{o}, func() error { model.Close(); return nil }, err
		}
		if err := s.AddSource(server.Source{Names: []string{name}, Bytes: info.WeightBytes, Info: info, Open: open}); err != nil {
			return err
		}
	}
	return nil
}

// modelName is what clients call the model.
func (f *serveFlags) modelName(model string) string {
	switch {
	case f.name != "":
		return f.name
	case model == "":
		return "story"
	}
	return strings.TrimSuffix(path.Base(filepath.ToSlash(filepath.Clean(model))), ".gguf")
}
