package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// maxInput is far more text than any model's context holds.
const maxInput = 64 << 20

// errNoText is the error of a command that was given no text to work on.
var errNoText = errors.New("no text: give it as an argument, or on standard input")

// errEmptyFile is the error about a file that should hold a text.
var errEmptyFile = errors.New("there is no text in it")

// inputHelp tells where commands that take a text find it.
const inputHelp = `The text is the arguments, put together with spaces. It is standard input where
the argument is "-", and where there is none and something is piped in: UTF-8,
without its byte order mark, its last line break and the CR of its line ends.`

// textArgument is the text that a command works on; errNoText if there is none.
func textArgument(cmd *cobra.Command, args []string) (string, error) {
	fromInput := len(args) == 1 && args[0] == "-"
	if !fromInput && len(args) > 0 {
		text := strings.Join(args, " ")
		return text, checkUTF8("the text", text)
	}
	in := cmd.InOrStdin()
	if !fromInput && !piped(in) {
		return "", errNoText
	}
	data, err := readAll(cmd.Context(), in)
	if err != nil {
		return "", fmt.Errorf("standard input: %w", err)
	}
	if len(data) == 0 && !fromInput {
		return "", errNoText
	}
	return decodeText("standard input", data)
}

// decodeText is the text that a person meant by data.
func decodeText(what string, data []byte) (string, error) {
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return "", fmt.Errorf("%s is UTF-16; it must be UTF-8", what)
	}
	text := strings.TrimPrefix(string(data), "\ufeff")
	if err := checkUTF8(what, text); err != nil {
		return "", err
	}
	return strings.TrimSuffix(strings.ReplaceAll(text, "\r\n", "\n"), "\n"), nil
}

// readTextFile is the text in a file, or in standard input if its name is "-". No
// text at all is an error.
func readTextFile(cmd *cobra.Command, name string) (text string, err error) {
	defer func() {
		if err == nil && text == "" {
			err = fmt.Errorf("%s: %w", name, errEmptyFile)
		}
	}()
	if name == "-" {
		return textArgument(cmd, []string{name})
	}
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := readAll(cmd.Context(), f)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return decodeText(name, data)
}

// piped reports whether somebody put a text into in: a pipe or a file, not a
// terminal and not nothing (/dev/null).
func piped(in io.Reader) bool {
	f, ok := in.(*os.File)
	if !ok {
		return true
	}
	info, err := f.Stat()
	return err == nil && (info.Mode().IsRegular() || info.Mode()&os.ModeNamedPipe != 0)
}

// readAll reads at most maxInput bytes. A read from a terminal or pipe cannot be
// interrupted: when ctx ends it is left behind.
func readAll(ctx context.Context, in io.Reader) ([]byte, error) {
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		data, err := io.ReadAll(io.LimitReader(in, maxInput+1))
		if err == nil && len(data) > maxInput {
			err = fmt.Errorf("more than %s", size(maxInput))
		}
		done <- result{data, err}
	}()
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case r := <-done:
		return r.data, r.err
	}
}

func checkUTF8(what, text string) error {
	for i, r := range text {
		if r == utf8.RuneError && !strings.HasPrefix(text[i:], "\ufffd") {
			return fmt.Errorf("%s is not UTF-8: byte %d is 0x%02x", what, i+1, text[i])
		}
	}
	return nil
}
