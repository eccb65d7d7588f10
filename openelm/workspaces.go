package openelm

import (
	"fmt"
	"sync"

	"github.com/go-openelm/go-openelm/kernels"
)

// workspaces are a model's idle workspaces. Sessions take one for each pass, so
// that a thousand idle sessions hold none.
type workspaces struct {
	mu   sync.Mutex
	idle []*workspace
}

// takeWorkspace returns a workspace for decoding, or a large one for prompts. A
// decode takes a small one even where a large one is idle, so that steady decoding
// touches little memory.
func (m *Model) takeWorkspace(prompts bool) (*workspace, error) {
	w := &m.workspaces
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
	ws, err := m.newWorkspace(rows)
	if err != nil {
		return nil, fmt.Errorf("openelm: activations: %w", err)
	}
	return ws, nil
}

func (m *Model) giveWorkspace(ws *workspace) {
	clear(ws.pass.segments) // an idle workspace keeps no session
	w := &m.workspaces
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
