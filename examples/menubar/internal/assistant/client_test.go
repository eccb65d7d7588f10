package assistant_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/assistant"
	"github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"
)

// client is a page without a browser.
type client struct {
	testing.TB
	http        *http.Client
	base, token string
}

func connect(t testing.TB, a *assistant.Assistant, h *http.Client) *client {
	t.Helper()
	base, ticket, _ := strings.Cut(a.Page(), "#ticket=")
	c := &client{TB: t, http: h, base: base}
	var said struct{ Token string }
	if status := c.post("session", map[string]string{"ticket": ticket}, &said); status != http.StatusOK {
		t.Fatalf("a ticket is answered %d", status)
	}
	c.token = said.Token
	return c
}

func (c *client) send(method, path string, body any) (*http.Response, error) {
	c.Helper()
	text, raw := body.([]byte)
	if !raw {
		var err error
		if text, err = json.Marshal(body); err != nil {
			c.Fatal(err)
		}
	}
	r, err := http.NewRequestWithContext(c.Context(), method, c.base+path, bytes.NewReader(text))
	if err != nil {
		c.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	return c.http.Do(r)
}

// post reads the answer into v, which may be nil.
func (c *client) post(path string, body, v any) (status int) {
	c.Helper()
	r, err := c.send("POST", path, body)
	if err != nil {
		c.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err == nil && v != nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		c.Fatalf("%s: %v: %s", path, err, text)
	}
	return r.StatusCode
}

// said is what an answer's stream said.
type said struct {
	pieces int
	text   string // of the pieces
	done   *struct {
		Answer, Result, Notice string
		Tokens                 int
		Edits                  bool
	}
	err     string
	tooLong *struct {
		Tokens, Room int
		Kept         string
		LeftOut      int `json:"left_out"`
		End          bool
	}
}

type object map[string]any

// ask reads an answer to its end; each is called with each piece, if it is not nil.
func (c *client) ask(body any, each func(piece string)) (s said) {
	c.Helper()
	r, err := c.send("POST", "answer", body)
	if err != nil {
		c.Fatal(err)
	}
	defer r.Body.Close()
	lines := bufio.NewReader(r.Body)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return s
		}
		if err != nil {
			c.Fatal(err)
		}
		event := struct {
			Piece   string
			Error   string
			Done    any
			TooLong any `json:"too_long"`
		}{Done: &s.done, TooLong: &s.tooLong}
		if err := json.Unmarshal(line, &event); err != nil {
			c.Fatalf("%v: %s", err, line)
		}
		if event.Error != "" {
			s.err = event.Error
		}
		if event.Piece != "" {
			s.pieces++
			s.text += event.Piece
			if each != nil {
				each(event.Piece)
			}
		}
	}
}

func ask(action desktop.Action, text string) object { return object{"action": action, "text": text} }
