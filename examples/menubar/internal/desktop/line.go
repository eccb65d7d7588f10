package desktop

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Line says in a few words what the assistant is doing, for a menu.
func (s State) Line() string {
	name := filepath.Base(s.Model)
	if s.Story {
		name = "Story model"
	}
	words := []string{name}
	switch s.Status {
	case Resting:
		words = append(words, "not in memory")
	case Loading:
		words = append(words, "loading")
	case Answering:
		words = append(words, "answering")
	}
	if s.MemoryBytes > 0 {
		words = append(words, fmt.Sprintf("%d MB", (s.MemoryBytes+500_000)/1_000_000))
	}
	if s.Status == Ready && s.TokensPerSecond > 0 {
		words = append(words, fmt.Sprintf("%.0f tokens/s", s.TokensPerSecond))
	}
	if s.Status == Downloading {
		line := "downloading " + filepath.Base(s.Download)
		if s.DownloadSize > 0 {
			line += fmt.Sprintf(" %d%%", 100*s.Downloaded/s.DownloadSize)
		}
		words = append(words, line)
	}
	if s.Problem != "" {
		words = append(words, s.Problem)
	}
	return strings.Join(words, " · ")
}
