package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
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
^C stops a reply, or leaves where there is none.`

func chatCommand(m *modelFlags, s *signals) *cobra.Command {
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
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			generate, err := sampling.options(cmd)
			if err != nil {
				return err
			}
			if capacity < 0 {
				return fmt.Errorf("--context %d makes no sense", capacity)
			}
			if err := checkUTF8("--system", system); err != nil {
				return err
			}
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
			if !m.quiet {
				fmt.Fprintln(cmd.ErrOrStderr(), chatHelp)
			}
			t := &talk{chat: c, options: generate, signals: s, out: cmd.OutOrStdout(), prompt: cmd.ErrOrStderr()}
			t.interactive = isTerminal(cmd.InOrStdin())
			return t.run(cmd.Context(), cmd.InOrStdin())
		},
	}
	sampling.register(cmd, 0)
	cmd.Flags().StringVar(&system, "system", "", "what the model is told before the conversation")
	cmd.Flags().StringVar(&layout, "template", "auto", "how turns are laid out: auto, instruct or plain")
	cmd.Flags().IntVar(&capacity, "context", 0, "tokens to remember; 0: as many as the model was trained for")
	return cmd
}

// talk is a conversation with a person.
type talk struct {
	chat    *chat.Chat
	options *openelm.GenerateOptions
	signals *signals

	out, prompt io.Writer
	interactive bool
}

// run reads messages until the input ends. ^C while the model speaks ends its
// reply, otherwise the program.
func (t *talk) run(ctx context.Context, in io.Reader) error {
	lines := readLines(ctx, in)
	for {
		if t.interactive {
			fmt.Fprint(t.prompt, "\n> ")
		}
		var l line
		select {
		case <-ctx.Done():
			if t.interactive {
				fmt.Fprintln(t.prompt)
			}
			return context.Cause(ctx)
		case l = <-lines:
		}
		if err := l.err; errors.Is(err, io.EOF) {
			if t.interactive {
				fmt.Fprintln(t.prompt)
			}
			return nil
		} else if errors.Is(err, errLongLine) {
			fmt.Fprintln(t.prompt, err)
			continue
		} else if err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
		if done, err := t.answer(ctx, strings.TrimSpace(l.text)); done || err != nil {
			return err
		}
	}
}

// answer does what a line asks for. done says that the person leaves.
func (t *talk) answer(ctx context.Context, text string) (done bool, err error) {
	switch text {
	case "":
	case "/bye":
		return true, nil
	case "/help":
		fmt.Fprintln(t.prompt, chatHelp)
	case "/reset":
		err = t.chat.Reset()
	case "/undo":
		err = t.chat.Undo()
	default:
		if strings.HasPrefix(text, "/") && !strings.ContainsAny(text, " \t") {
			fmt.Fprintf(t.prompt, "no command %s; /help lists them\n", text)
			return false, nil
		}
		if err := checkUTF8("the message", text); err != nil {
			fmt.Fprintln(t.prompt, err)
			return false, nil
		}
		err = t.reply(ctx, text)
		if errors.Is(err, chat.ErrTooLong) {
			fmt.Fprintln(t.prompt, strings.TrimPrefix(err.Error(), "chat: "))
			err = nil
		}
	}
	return false, err
}

// reply streams one reply, until an interrupt.
func (t *talk) reply(ctx context.Context, message string) error {
	inner, end := t.signals.interruptible(ctx)
	defer end()
	started := false
	for tok, err := range t.chat.Say(inner, message, t.options) {
		if err != nil && inner.Err() != nil && ctx.Err() == nil {
			_, err = fmt.Fprintln(t.out, " …")
			return err
		}
		if err != nil {
			if started {
				fmt.Fprintln(t.out)
			}
			return err
		}
		text := tok.Text
		if !started { // a reply often begins with the line break after the message
			text = strings.TrimLeft(text, " \n")
			started = text != ""
		}
		if tok.Stop != "" {
			text += "\n"
		}
		if _, err := io.WriteString(t.out, text); err != nil {
			return err
		}
	}
	return nil
}

// line is a line of the input, or why there is none.
type line struct {
	text string
	err  error
}

// maxLine is the longest message that is read, far more than any context holds.
const maxLine = 1 << 20

var errLongLine = fmt.Errorf("this line is longer than %s and was not read; a message must fit into the context", size(maxLine))

// readLines reads lines in the background until one has an error other than
// errLongLine. (A read from a terminal cannot be interrupted.)
func readLines(ctx context.Context, r io.Reader) <-chan line {
	lines := make(chan line)
	go func() {
		in := bufio.NewReader(r)
		for first := true; ; first = false {
			l := readLine(in)
			if first {
				l.text = strings.TrimPrefix(l.text, "\ufeff")
			}
			select {
			case lines <- l:
			case <-ctx.Done():
				return
			}
			if l.err != nil && !errors.Is(l.err, errLongLine) {
				return
			}
		}
	}()
	return lines
}

// readLine reads a line, without what ends it. A line that is too long is read to
// its end and forgotten.
func readLine(in *bufio.Reader) line {
	var text []byte
	long := false
	for {
		part, err := in.ReadSlice('\n')
		if len(text)+len(part) > maxLine+len("\r\n") {
			text, long = nil, true
		}
		if !long {
			text = append(text, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case long && (err == nil || errors.Is(err, io.EOF)):
			return line{err: errLongLine}
		case errors.Is(err, io.EOF) && len(text) > 0:
			return line{text: string(text)}
		}
		return line{string(text), err}
	}
}
