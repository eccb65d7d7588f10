package openelm

import (
	"sync"

	"github.com/go-openelm/go-openelm/kernels"
)

// workspaces are a model's idle workspaces. Sessions take one for each pass, so
// that a thousand idle sessions hold none.
type workspaces struct {
	mu   sync.Mutex
	idle []*workspace
}

// take returns a workspace for decoding, or a large one for prompts. A decode
// takes a small one even where a large one is idle, so that steady decoding
// touches little memory.
func (w *workspaces) take(m *Model, prompts bool) (*workspace, error) {
	rows := kernels.ExactRows
	if prompts {
		rows = max(m.parts.Backend.PassRows(), minPassRows)
	}
	w.mu.Lock()
	for i, ws := range w.idle {
		if ws.rows == rows {
			last := len(w.idle) - 1
			w.idle[i] = w.idle[last]
			w.idle = w.idle[:last]
			w.mu.Unlock()
			return ws, nil
		}
	}
	w.mu.Unlock()
	return m.newWorkspace(rows)
}

func (w *workspaces) give(ws *workspace) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.idle = append(w.idle, ws)
}

func (w *workspaces) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, ws := range w.idle {
		ws.release()
	}
	w.idle = nil
}
