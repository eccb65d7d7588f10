package assistant

import (
	"strings"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"
)

// recipe is how a small model is brought to do something with a text.
type recipe struct {
	// told is what a model that was taught to obey is told before the text. If it is
	// empty, the text is the prompt.
	told string
	// A model that was not goes on with a pattern: from one text to the next, a
	// heading between them, and once shown how.
	heading, before, after string

	temperature float64
	// penalty makes words that were used less likely, for small models tend to say
	// the same again and again; 1 for what is to repeat the text.
	penalty float64
	// reply is how many tokens an answer may have, to a text of so many.
	reply func(tokens int) int
	// keepEnd says that of a text that is too long the end matters.
	keepEnd bool
	// replaces is what takes the text's place, given both; the answer alone if nil.
	replaces func(text, answer string) string
	// edits says that the answer is another form of the text, of which nothing may
	// be lost.
	edits bool
}

// alike is the length of answers that are another form of the text.
func alike(tokens int) int { return tokens + tokens/4 + 32 }

// atMost is that of others.
func atMost(n int) func(int) int { return func(int) int { return n } }

var recipes = map[desktop.Action]recipe{
	desktop.Rewrite: {
		told:        "Rewrite the following text so that it is clear and well written. Keep its meaning. Answer with the new text only.",
		heading:     "The same, clear and well written:",
		before:      "Me and him was thinking that maybe it could be possible to go there at some point next week.",
		after:       "We are thinking of going there next week.",
		temperature: 0.6, penalty: 1.05, reply: alike, edits: true,
	},
	desktop.Shorten: {
		told:        "Make the following text shorter. Keep what matters. Answer with the shorter text only.",
		heading:     "The same in fewer words:",
		before:      "I am writing to you in order to let you know that the meeting which was planned for Monday will not take place.",
		after:       "Monday's meeting will not take place.",
		temperature: 0.3, penalty: 1.05, reply: func(tokens int) int { return tokens + 16 }, edits: true,
	},
	desktop.Fix: {
		told:        "Correct the spelling and grammar of the following text. Change nothing else. Answer with the corrected text only.",
		heading:     "The same without mistakes:",
		before:      "She dont know were the keys is.",
		after:       "She doesn't know where the keys are.",
		temperature: 0, penalty: 1, reply: alike, edits: true,
	},
	desktop.Friendlier: {
		told:        "Rewrite the following text in a friendly and polite tone. Keep its meaning. Answer with the new text only.",
		heading:     "The same, friendly and polite:",
		before:      "You forgot the report. Send it today.",
		after:       "I think the report is still missing. Could you please send it today? Thank you!",
		temperature: 0.6, penalty: 1.05, reply: alike, edits: true,
	},
	desktop.Summarise: {
		told:        "Summarise the following text in one to three sentences.",
		heading:     "In short:",
		before:      "The library was closed for two years because its roof had to be replaced. It opens again on Friday, with longer hours and a new room for children.",
		after:       "After two years of work on its roof, the library opens again on Friday.",
		temperature: 0.3, penalty: 1.1, reply: atMost(200),
	},
	desktop.Explain: {
		told:        "Explain the following in simple words, for somebody who does not know the subject.",
		heading:     "In simple words:",
		before:      "Water boils at a lower temperature at high altitudes because of the reduced atmospheric pressure.",
		after:       "High up there is less air pressing on the water, so it boils before it is as hot as it would be at the sea.",
		temperature: 0.5, penalty: 1.1, reply: atMost(320),
	},
	desktop.Continue: {
		temperature: 0.8, penalty: 1.1, reply: atMost(200), keepEnd: true,
		replaces: func(text, answer string) string { return text + answer },
	},
	desktop.Ask: {temperature: 0.7, penalty: 1.1, reply: atMost(400)},
}

// prompt is what a model is given.
type prompt struct {
	before, after string
	raw           bool // it is no turn of a conversation
	stop          []string
}

func (r recipe) prompt(a desktop.Action, k kind) prompt {
	switch {
	case k == storyteller || a == desktop.Continue:
		return prompt{raw: true}
	case k == instruct && r.told == "":
		return prompt{}
	case k == instruct:
		return prompt{before: r.told + "\n\n"}
	case r.heading == "":
		return prompt{raw: true, after: "\n\n"}
	}
	return prompt{
		raw:    true,
		before: "Text:\n" + r.before + "\n\n" + r.heading + "\n" + r.after + "\n\n###\n\nText:\n",
		after:  "\n\n" + r.heading + "\n",
		stop:   []string{"###", "\nText:"},
	}
}

// tidy takes off an answer what small models put around it, and who asked did not
// mean: an announcement, and quotation marks that the text does not have.
func tidy(text, answer string) string {
	answer = strings.TrimSpace(answer)
	if first, rest, ok := strings.Cut(answer, "\n"); ok {
		first = strings.ToLower(strings.TrimSpace(first))
		announced := strings.HasPrefix(first, "here") || strings.HasPrefix(first, "sure") || strings.HasPrefix(first, "certainly") || strings.HasPrefix(first, "of course")
		if announced && strings.HasSuffix(first, ":") {
			answer = strings.TrimSpace(rest)
		}
	}
	for _, q := range [][2]string{{`"`, `"`}, {"“", "”"}} {
		inside, ok := strings.CutPrefix(answer, q[0])
		if !ok || strings.HasPrefix(text, q[0]) {
			continue
		}
		if inside, ok = strings.CutSuffix(inside, q[1]); ok && !strings.Contains(inside, q[0]) && !strings.Contains(inside, q[1]) {
			return strings.TrimSpace(inside)
		}
	}
	return answer
}
