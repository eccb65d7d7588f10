package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/go-openelm/go-openelm/chat"
	"github.com/go-openelm/go-openelm/openelm"
	"github.com/spf13/cobra"
)

const chatHelp = `Type a message, or
  /reset   forget the conversation
  /undo    forget the last turn
  /help    show this
  /bye     leave (also ^D)
^C stops a reply.`

func chatCommand(m *modelFlags) *cobra.Command {
	var (
		sampling samplingFlags
		system   string
		layout   string
		capacity int
	)
	cmd := &cobra.Command{
		Use:   "chat",
		Short: "Talk with a model",
		Long: `Talk with a model. The conversation stays in the model's KV cache, so that each
message costs only its own tokens; when the context is full the oldest turns are
forgotten.

OpenELM's Instruct models take turns as CoreNet's instruction-tuning
configuration lays them out (--template instruct, chosen by itself when the
model's name says Instruct). Other models were never taught to chat: each
message is simply continued (--template plain).`,
		Example: `  openelm chat --model apple/OpenELM-1_1B-Instruct
  openelm chat --model apple/OpenELM-3B-Instruct --system "You are terse."`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o := chat.Options{System: system, Session: openelm.SessionOptions{Capacity: capacity}}
			switch {
			case layout == "instruct", layout == "auto" && strings.Contains(strings.ToLower(m.name), "instruct"):
				o.Template = chat.Instruct
			case layout == "plain", layout == "auto":
				o.Template = chat.Plain
			default:
				return fmt.Errorf("no template %q; there are auto, instruct and plain", layout)
			}
			model, err := m.open(cmd)
			if err != nil {
				return err
			}
			defer model.Close()
			c, err := chat.New(model.Model, o)
			if err != nil {
				return err
			}
			defer c.Close()
			cmd.SetContext(context.Background()) // ^C has another meaning here
			if !m.quiet {
				fmt.Fprintln(cmd.ErrOrStderr(), chatHelp)
			}
			return converse(cmd, c, sampling.options(cmd))
		},
	}
	sampling.register(cmd, 0)
	cmd.Flags().StringVar(&system, "system", "", "what the model is told before the conversation")
	cmd.Flags().StringVar(&layout, "template", "auto", "how turns are laid out: auto, instruct or plain")
	cmd.Flags().IntVar(&capacity, "context", 0, "tokens to remember; 0: as many as the model was trained for")
	return cmd
}

// converse reads messages until the input ends. ^C while the model speaks ends
// its reply, otherwise the program.
func converse(cmd *cobra.Command, c *chat.Chat, o *openelm.GenerateOptions) error {
	out, prompt := cmd.OutOrStdout(), cmd.ErrOrStderr()
	interrupt := make(chan os.Signal, 1)
	signal.Notify(interrupt, os.Interrupt)
	defer signal.Stop(interrupt)
	lines, readErr := readLines(cmd.InOrStdin())
	for {
		fmt.Fprint(prompt, "\n> ")
		var line string
		select {
		case <-interrupt:
			fmt.Fprintln(prompt)
			return nil
		case text, ok := <-lines:
			if !ok {
				fmt.Fprintln(prompt)
				return <-readErr
			}
			line = strings.TrimSpace(text)
		}
		var err error
		switch line {
		case "":
		case "/bye":
			return nil
		case "/help":
			fmt.Fprintln(prompt, chatHelp)
		case "/reset":
			err = c.Reset()
		case "/undo":
			err = c.Undo()
		default:
			err = reply(interrupt, out, c, line, o)
			fmt.Fprintln(out)
			if errors.Is(err, chat.ErrTooLong) {
				fmt.Fprintln(prompt, err)
				err = nil
			}
		}
		if err != nil {
			return err
		}
	}
}

// readLines reads lines in the background. (A read from a terminal cannot be
// interrupted.)
func readLines(r io.Reader) (<-chan string, <-chan error) {
	lines, done := make(chan string), make(chan error, 1)
	go func() {
		in := bufio.NewScanner(r)
		in.Buffer(nil, 1<<20)
		for in.Scan() {
			lines <- in.Text()
		}
		done <- in.Err()
		close(lines)
	}()
	return lines, done
}

// reply streams one reply, until an interrupt.
func reply(interrupt <-chan os.Signal, out io.Writer, c *chat.Chat, message string, o *openelm.GenerateOptions) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-interrupt:
			cancel()
		case <-ctx.Done():
		}
	}()
	started := false
	for t, err := range c.Say(ctx, message, o) {
		if errors.Is(err, context.Canceled) {
			fmt.Fprint(out, " …")
			return nil
		}
		if err != nil {
			return err
		}
		text := t.Text
		if !started { // a reply often begins with the line break after the message
			text = strings.TrimLeft(text, " \n")
			started = text != ""
		}
		if _, err := fmt.Fprint(out, text); err != nil {
			return err
		}
	}
	return nil
}
