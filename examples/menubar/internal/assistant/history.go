package assistant

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"
)

const (
	historyFile = "history.json"
	// The history has so many entries and bytes of text at most, the newest ones.
	maxEntries      = 200
	maxHistoryBytes = 4 << 20
)

// entry is a text and what became of it.
type entry struct {
	ID     int            `json:"id"`
	Time   time.Time      `json:"time"`
	Action desktop.Action `json:"action"`
	Text   string         `json:"text"`
	Answer string         `json:"answer"`
	// Result is what takes the text's place.
	Result string `json:"result,omitempty"`
	Model  string `json:"model"`
	// Whole is false as long as the answer is under way, and for ever if it was
	// stopped.
	Whole bool `json:"whole"`
}

// history is what was asked today. The assistant's mutex guards it.
type history struct {
	path     string
	last     int
	entries  []entry     // oldest first
	midnight *time.Timer // forgets the day, nil if there was none to forget yet
}

// day is when a day begins.
func day(t time.Time) time.Time {
	y, m, d := t.Local().Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.Local)
}

// trim forgets other days, and what there is no room for. It reports whether there
// was any.
func (h *history) trim(now time.Time) (forgot bool) {
	today, bytes, keep := day(now), 0, 0
	for keep < min(len(h.entries), maxEntries) {
		e := h.entries[len(h.entries)-1-keep]
		if bytes += len(e.Text) + len(e.Answer) + len(e.Result); bytes > maxHistoryBytes || !day(e.Time).Equal(today) {
			break
		}
		keep++
	}
	forgot = keep < len(h.entries)
	h.entries = slices.Clone(h.entries[len(h.entries)-keep:])
	return forgot
}

// load reads the file.
func (h *history) load(now time.Time) error {
	if err := readJSON(h.path, &h.entries); err != nil {
		return err
	}
	h.trim(now)
	for _, e := range h.entries {
		h.last = max(h.last, e.ID)
	}
	return nil
}

// add begins an entry.
func (h *history) add(e entry) (id int) {
	h.last++
	e.ID = h.last
	h.entries = append(h.entries, e)
	h.trim(e.Time)
	return e.ID
}

// finish ends an entry, if it is still there.
func (h *history) finish(id int, answer, result string, whole bool) {
	if i := slices.IndexFunc(h.entries, func(e entry) bool { return e.ID == id }); i >= 0 {
		e := &h.entries[i]
		e.Answer, e.Result, e.Whole = answer, result, whole
	}
}

// save writes the file, or removes it if there is nothing in it.
func (h *history) save() error {
	if len(h.entries) > 0 {
		return writeJSON(h.path, h.entries)
	}
	if err := os.Remove(h.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
