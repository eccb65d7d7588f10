package assistant

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"
	"pgregory.net/rapid"
)

// TestCut: of a text that is too long as much is kept as there is room for, whole
// characters, and what is left out is the rest of it.
func TestCut(t *testing.T) {
	words := rapid.SampledFrom([]string{"a", "fox. ", "went ", "home", "\n", "  ", "é", "👩‍👩‍👧", "שלום ", "你好。", "!", "word "})
	rapid.Check(t, func(t *rapid.T) {
		whole := strings.TrimSpace(strings.Join(rapid.SliceOfN(words, 60, 300).Draw(t, "words"), ""))
		room := rapid.IntRange(1, 40).Draw(t, "room")
		end := rapid.Bool().Draw(t, "end")
		count := func(text string) (int, error) { return (len(text) + 2) / 3, nil } // bytes, much as tokens
		if n, _ := count(whole); n <= room {
			return
		}
		f := &fitted{kept: whole, recipe: recipe{keepEnd: end}}
		if err := f.cut(room, count); err != nil {
			t.Fatal(err)
		}
		if n, _ := count(f.kept); n > room || !utf8.ValidString(f.kept) || !utf8.ValidString(f.left) {
			t.Fatalf("%q has %d tokens, and there is room for %d", f.kept, n, room)
		}
		rest := f.kept + f.left
		if end {
			rest = f.left + f.kept
		}
		if rest != whole {
			t.Fatalf("%q and %q are not %q", f.kept, f.left, whole)
		}
		if n, _ := count(f.kept); n < room/2-12 {
			t.Fatalf("of room for %d tokens %d are used: %q of %q", room, n, f.kept, whole)
		}
	})
}

// TestResult: an answer takes the text's place, and nothing else of it.
func TestResult(t *testing.T) {
	for _, c := range []struct {
		action         desktop.Action
		f              fitted
		said           string
		answer, result string
	}{
		{desktop.Fix, fitted{lead: "\n ", kept: "She go.", trail: " \n"}, " She goes.\n", "She goes.", "\n She goes. \n"},
		{desktop.Fix, fitted{kept: "She go.", left: " He go."}, "She goes.", "She goes.", "She goes. He go."},
		{desktop.Fix, fitted{kept: "Hi"}, "Sure, here it is:\n\n\"Hello\"", "Hello", "Hello"},
		{desktop.Fix, fitted{kept: `"Hi"`}, `"Hello"`, `"Hello"`, `"Hello"`},
		{desktop.Fix, fitted{kept: "Hi"}, `"Hello" and "bye"`, `"Hello" and "bye"`, `"Hello" and "bye"`},
		{desktop.Fix, fitted{kept: "Hi"}, "Here:\nit is", "it is", "it is"},
		{desktop.Fix, fitted{kept: "Hi"}, "Here it is\nand there", "Here it is\nand there", "Here it is\nand there"},
		{desktop.Summarise, fitted{lead: " ", kept: "Long.", trail: "\n"}, "“Short.”", "Short.", " Short.\n"},
		{desktop.Continue, fitted{kept: "Once"}, " there was.\n", "there was.", "Once there was."},
		{desktop.Continue, fitted{kept: "Once", trail: " "}, " there was.", "there was.", "Once there was."},
		{desktop.Continue, fitted{left: "Long ago. ", kept: "Once"}, " more", "more", "Long ago. Once more"},
	} {
		c.f.recipe = recipes[c.action]
		if answer, result := c.f.result(c.said); answer != c.answer || result != c.result {
			t.Errorf("%s %+v: %q, %q", c.action, c.said, answer, result)
		}
	}
}
