package assistant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sort"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"
)

// maxText is the longest text in bytes: more than anybody selects to have it
// rewritten, and what is counted in a moment.
const maxText = 1 << 20

// question is a text and what to do with it.
type question struct {
	Action desktop.Action `json:"action"`
	Text   string         `json:"text"`
	// Cut allows to leave out what the model cannot read at once.
	Cut bool `json:"cut"`
}

// reply is what became of a question.
type reply struct {
	Answer string `json:"answer"`
	// Result is what takes the text's place.
	Result          string  `json:"result"`
	Tokens          int     `json:"tokens"`
	TokensPerSecond float64 `json:"tokens_per_second"`
	// Unfinished says that the answer ended because it was as long as it may be.
	Unfinished bool `json:"unfinished"`
	// Edits says that the answer is another form of the text.
	Edits bool `json:"edits"`
	// Notice is what the person should know.
	Notice string `json:"notice,omitempty"`
}

// tooLong is the error of a text that the model cannot read at once.
type tooLong struct {
	Tokens int `json:"tokens"` // of the text
	Room   int `json:"room"`   // for so many
	// Kept is the part that would be read, the beginning or the end of the text, and
	// LeftOut the number of bytes that would not.
	Kept    string `json:"kept"`
	LeftOut int    `json:"left_out"`
	End     bool   `json:"end"` // Kept is the end
}

func (e *tooLong) Error() string {
	return fmt.Sprintf("The text is too long: it has %d tokens, and the model can read %d of them at once. Select less of it.", e.Tokens, e.Room)
}

// check refuses what is no text.
func (q question) check() error {
	_, known := recipes[q.Action]
	switch {
	case !known:
		return say("There is no action %q.", string(q.Action))
	case len(q.Text) > maxText:
		return say("The text is too long: it has %.1f MB, and one is the most.", float64(len(q.Text))/(1<<20))
	case !utf8.ValidString(q.Text) || strings.ContainsFunc(q.Text, notText):
		return sentence("This is not text, but binary data.")
	case !strings.ContainsFunc(q.Text, func(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsSpace(r) }):
		return sentence("There is no text yet. Write or paste some first.")
	}
	return nil
}

// notText reports characters that no text has.
func notText(r rune) bool {
	return r < ' ' && !strings.ContainsRune("\t\n\v\f\r\x1b", r) || r == 0x7f
}

// Do implements [desktop.Assistant]. It never leaves anything of the text out, and
// has no stories told in its place.
func (a *Assistant) Do(ctx context.Context, action desktop.Action, text string) (string, error) {
	if a.Settings().Model == "" && action != desktop.Continue && action != desktop.Ask {
		return "", sentence("No model is chosen yet, and the one inside the program only tells stories. Open OpenELM's page and choose one.")
	}
	r, err := a.answer(ctx, question{Action: action, Text: text}, func(string) error { return nil })
	switch {
	case err != nil:
		return "", err
	case r.Edits && r.Unfinished:
		return "", sentence("The model did not come to an end, so the text was left as it is.")
	}
	return r.Result, nil
}

// answer answers a question, and hands over its pieces as they come. What is asked
// and what was answered is kept in the history, if the person wants one, however it
// ends.
func (a *Assistant) answer(ctx context.Context, q question, piece func(string) error) (_ *reply, err error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	ctx, end, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	s := a.Settings()
	src, err := a.source(chosen(s))
	if err != nil {
		return nil, err
	}
	defer func() { err = a.sentence(ctx, src, chosen(s), err) }()
	f, err := a.fit(ctx, src, chosen(s).kind(), q)
	if err != nil {
		return nil, err
	}
	var said strings.Builder
	finish := a.record(q, chosen(s))
	defer func() { finish(f, said.String(), err == nil) }()
	r := &reply{Edits: f.recipe.edits && chosen(s).kind() != storyteller, Notice: f.notice}
	err = a.call(ctx, "/api/generate", f.request(src, s, a.stays(chosen(s))), func(line []byte) error {
		var event struct {
			Response string
			Done     bool
			Reason   string        `json:"done_reason"`
			Tokens   int           `json:"eval_count"`
			Took     time.Duration `json:"eval_duration"`
		}
		if err := json.Unmarshal(line, &event); err != nil {
			return err
		}
		if event.Response != "" {
			said.WriteString(event.Response)
			return piece(event.Response)
		}
		if event.Done {
			r.Tokens, r.Unfinished = event.Tokens, event.Reason == "length"
			if event.Took > 0 {
				r.TokensPerSecond = float64(event.Tokens) / event.Took.Seconds()
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.Answer, r.Result = f.result(said.String())
	a.mu.Lock()
	defer a.mu.Unlock()
	a.speed, a.problem = r.TokensPerSecond, ""
	return r, nil
}

// record begins an entry of the history, if there is to be one.
func (a *Assistant) record(q question, c choice) (finish func(f *fitted, said string, whole bool)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.settings.KeepHistory {
		return func(*fitted, string, bool) {}
	}
	id := a.history.add(entry{Time: time.Now(), Action: q.Action, Text: q.Text, Model: c.name()})
	a.saveHistory()
	return func(f *fitted, said string, whole bool) {
		answer, result := f.result(said)
		a.mu.Lock()
		defer a.mu.Unlock()
		a.history.finish(id, answer, result, whole)
		if a.settings.KeepHistory {
			a.saveHistory()
		}
	}
}

// sentence is what the person is told of an error.
func (a *Assistant) sentence(ctx context.Context, src *source, c choice, err error) error {
	if err == nil {
		return nil
	}
	if said, ok := errors.AsType[sentence](context.Cause(ctx)); ok {
		return said // why it ended
	}
	if _, ok := errors.AsType[sentence](err); ok || ctx.Err() != nil {
		return err
	}
	if _, ok := errors.AsType[*tooLong](err); ok || errors.Is(err, errGone) {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	name := c.name()
	if src.err != nil {
		err = explain(name, src.err)
	} else if refused(err, http.StatusTooManyRequests) {
		return sentence("There are too many questions at a time. Try again in a moment.")
	} else {
		err = say("The model %s failed to answer: %v.", name, err)
	}
	a.problem = err.Error()
	a.log.Error("a question was not answered", "error", err)
	return err
}

// fitted is a question that fits into the context.
type fitted struct {
	recipe recipe
	prompt prompt
	// The text is lead, kept, left, trail, or lead, left, kept, trail if the end was
	// kept; lead and trail are white space.
	lead, kept, left, trail string
	most                    int // tokens of the answer
	notice                  string
}

// taught is the length of prompts that Instruct models were trained on.
const taught = 512

// fit lays out a question, or says that its text is too long.
func (a *Assistant) fit(ctx context.Context, src *source, k kind, q question) (*fitted, error) {
	r := recipes[q.Action]
	f := &fitted{recipe: r, prompt: r.prompt(q.Action, k)}
	f.kept = strings.TrimSpace(q.Text)
	f.lead, f.trail, _ = strings.Cut(q.Text, f.kept)
	capacity := 0
	count := func(text string) (n int, err error) {
		err = a.call(ctx, "/tokenize", map[string]any{"model": src.name, "prompt": text}, func(line []byte) error {
			var answer struct {
				Count int
				Max   int `json:"max_model_len"`
			}
			err := json.Unmarshal(line, &answer)
			n, capacity = answer.Count, answer.Max
			return err
		})
		return n, err
	}
	around, err := count(f.prompt.before + f.prompt.after)
	if err != nil {
		return nil, err
	}
	around += 24 // the turns of a conversation, and what encoding it as a whole may add
	tokens, err := count(f.kept)
	if err != nil {
		return nil, err
	}
	// An answer of any length has to end with the context.
	most := func(tokens int) int { return min(r.reply(tokens), capacity/2) }
	room := sort.Search(capacity, func(n int) bool { return around+n+most(n) > capacity }) - 1
	if room < 1 {
		return nil, say("The context of the model is only %d tokens, too few for this.", capacity)
	}
	if tokens > room {
		whole := f.kept
		if err := f.cut(room, count); err != nil {
			return nil, err
		}
		if !q.Cut {
			return nil, &tooLong{Tokens: tokens, Room: room, Kept: f.kept, LeftOut: len(whole) - len(f.kept), End: r.keepEnd}
		}
		f.notice = fmt.Sprintf("Only %d of %d tokens were read, since the model cannot read more at once.", room, tokens)
		tokens = room
	}
	f.most = most(tokens)
	if k == storyteller {
		f.notice = strings.TrimSpace("This is the story model, which only tells short tales: choose a model to have your own texts worked on. " + f.notice)
	} else if k == instruct && !f.prompt.raw && around+tokens > taught && f.notice == "" {
		f.notice = fmt.Sprintf("The model was trained on up to %d tokens at a time; with these %d it may do less well.", taught, around+tokens)
	}
	return f, nil
}

// cut keeps so much of the text as has room tokens, and ends where a sentence does,
// or a word at least.
func (f *fitted) cut(room int, count func(string) (int, error)) error {
	whole := f.kept
	part := func(n int) string {
		if f.recipe.keepEnd {
			for n > 0 && !utf8.RuneStart(whole[len(whole)-n]) {
				n--
			}
			return whole[len(whole)-n:]
		}
		for n > 0 && n < len(whole) && !utf8.RuneStart(whole[n]) {
			n--
		}
		return whole[:n]
	}
	// No token of these vocabularies has more bytes than that.
	n, over := 0, min(len(whole), 64*room)
	for n+1 < over {
		middle := (n + over) / 2
		tokens, err := count(part(middle))
		if err != nil {
			return err
		}
		if tokens <= room {
			n = middle
		} else {
			over = middle
		}
	}
	f.kept = part(n)
	if f.recipe.keepEnd {
		if i := strings.IndexFunc(f.kept, unicode.IsSpace); i >= 0 && i < len(f.kept)/4 {
			f.kept = f.kept[i:]
		}
		f.kept = strings.TrimLeftFunc(f.kept, unicode.IsSpace)
		f.left = strings.TrimSuffix(whole, f.kept)
		return nil
	}
	end := strings.LastIndexAny(f.kept, ".!?\n")
	if end < len(f.kept)/2 {
		end = strings.LastIndexFunc(f.kept, unicode.IsSpace)
	}
	if end > len(f.kept)/2 {
		f.kept = f.kept[:end+1]
	}
	f.kept = strings.TrimRightFunc(f.kept, unicode.IsSpace)
	f.left = strings.TrimPrefix(whole, f.kept)
	return nil
}

// request is what the server is asked.
func (f *fitted) request(src *source, s desktop.Settings, stay time.Duration) any {
	temperature := f.recipe.temperature
	if s.Temperature != nil {
		temperature = *s.Temperature
	}
	options := map[string]any{"temperature": temperature, "repeat_penalty": f.recipe.penalty, "num_predict": f.most}
	if len(f.prompt.stop) > 0 {
		options["stop"] = f.prompt.stop
	}
	return map[string]any{
		"model": src.name, "prompt": f.prompt.before + f.kept + f.prompt.after, "raw": f.prompt.raw,
		"keep_alive": stay.String(), "options": options,
	}
}

// result is what the model said, without what it should not have, and what takes the
// text's place.
func (f *fitted) result(said string) (answer, result string) {
	if f.recipe.replaces != nil {
		answer = strings.TrimRightFunc(said, unicode.IsSpace)
		if f.trail != "" {
			answer = strings.TrimLeftFunc(answer, unicode.IsSpace)
		}
		return strings.TrimSpace(answer), f.recipe.replaces(f.lead+f.left+f.kept+f.trail, answer)
	}
	answer = tidy(f.kept, said)
	left := ""
	if f.recipe.edits {
		left = f.left
	}
	return answer, f.lead + answer + left + f.trail
}
