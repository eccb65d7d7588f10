// Package desktop is what the two halves of the program know of each other: the
// assistant, which has the model and serves the page, and the desktop that it lives
// on, which shows an icon, a menu and the page, and passes on what a person selects
// in other programs.
package desktop

import (
	"context"
	"time"
)

// Action is what an assistant can do with a text.
type Action string

// The actions. Each has a key of its own on the page.
const (
	Rewrite    Action = "rewrite"
	Shorten    Action = "shorten"
	Fix        Action = "fix" // spelling and grammar
	Friendlier Action = "friendlier"
	Summarise  Action = "summarise"
	Explain    Action = "explain"
	Continue   Action = "continue"
	Ask        Action = "ask" // what the text itself asks for
)

// Assistant is what a desktop asks of the assistant. Its methods may be called from
// any goroutine and, but for Do and Close, return at once.
type Assistant interface {
	// Page is the address of the page, with a ticket that is good for one browser.
	Page() string
	// Offer makes text the text at hand, on the page that is open or opened next.
	Offer(text string)
	// Do performs an action on a text and returns what takes its place. Its errors
	// are sentences for the person who asked.
	Do(ctx context.Context, action Action, text string) (string, error)
	// State is what there is now; Watch calls changed after each change, never twice
	// at a time, until stop is called.
	State() State
	Watch(changed func(State)) (stop func())
	// Report makes a sentence the problem that State has, for the person to see.
	Report(problem string)
	// Settings are what the person chose; Change saves others.
	Settings() Settings
	Change(edit func(*Settings)) error
	// Unload gives the model's memory back; the next question loads it again.
	Unload()
	// Pressure tells that the system is short of memory: the model is unloaded when
	// nothing is being answered, and at once if it is critical.
	Pressure(critical bool)
	// Close ends what is being answered, saves what is to be kept, and closes the model.
	Close(ctx context.Context) error
}

// Status is what the assistant is doing.
type Status string

// What an assistant may be doing.
const (
	Resting     Status = "resting" // no model is in memory
	Loading     Status = "loading"
	Ready       Status = "ready"
	Answering   Status = "answering"
	Downloading Status = "downloading" // and answers meanwhile, with the model that there is
)

// State is what a menu or a page shows.
type State struct {
	Status Status `json:"status"`
	// Model is the one that answers: a Hugging Face repository, a path, or "story",
	// the embedded one, as long as there is no other.
	Model           string  `json:"model"`
	Story           bool    `json:"story"` // Model is the embedded one, which tells stories and no more
	MemoryBytes     int64   `json:"memory_bytes"`
	TokensPerSecond float64 `json:"tokens_per_second"` // of the last answer
	// Download is the model that is being downloaded, or whose download was paused or
	// interrupted; choosing it again goes on where it was.
	Download       string `json:"download,omitempty"`
	DownloadPaused bool   `json:"download_paused,omitempty"`
	Downloaded     int64  `json:"downloaded"`
	DownloadSize   int64  `json:"download_size"`     // 0 while it is not known
	Problem        string `json:"problem,omitempty"` // the last one, a sentence
}

// Settings are what a person chooses. The zero value is what a first start has.
type Settings struct {
	Model        string        `json:"model,omitempty"`       // the story model if empty
	Adapter      string        `json:"adapter,omitempty"`     // folder or file, none if empty
	Temperature  *float64      `json:"temperature,omitempty"` // 0 to 2; each action's own if nil
	KeepLoaded   bool          `json:"keep_loaded,omitempty"` // not unloaded when idle
	IdleTime     time.Duration `json:"idle_time,omitempty"`   // 0 means five minutes
	KeepHistory  bool          `json:"keep_history,omitempty"`
	StartAtLogin bool          `json:"start_at_login,omitempty"`
	HideIcon     bool          `json:"hide_icon,omitempty"`
	GlobalKey    bool          `json:"global_key,omitempty"` // the key that opens the page with the clipboard
}

// Abilities are what of the settings a platform's half obeys. The page offers no
// others.
type Abilities struct {
	StartAtLogin bool   `json:"start_at_login,omitempty"`
	HideIcon     bool   `json:"hide_icon,omitempty"`
	GlobalKey    string `json:"global_key,omitempty"` // which one it is, "" if there is none
}

// Desktop is a platform's half.
type Desktop interface {
	// Run shows the icon and serves the person until ctx ends or the person quits.
	// It is called on the main goroutine, locked to the main thread.
	Run(ctx context.Context, a Assistant) error
	// Show brings the page up, also before Run; any goroutine may call it.
	Show()
}
