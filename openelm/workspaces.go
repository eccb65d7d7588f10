package openelm

import "sync"

// workspaces are a model's idle workspaces. Sessions take one for each pass, so
// that a thousand idle sessions hold none.
type workspaces struct {
	mu   sync.Mutex
	idle []*workspace
}

// decodeRows is the capacity of a small workspace, for decoding.
const decodeRows = logitRows

func (w *workspaces) take(m *Model, rows int) (*workspace, error) {
	w.mu.Lock()
	for i, ws := range w.idle {
		// A decode takes a small workspace even where a large one is idle, so
		// that steady decoding touches little memory.
		if ws.rows >= rows && (rows > decodeRows || ws.rows == decodeRows) {
			last := len(w.idle) - 1
			w.idle[i] = w.idle[last]
			w.idle = w.idle[:last]
			w.mu.Unlock()
			return ws, nil
		}
	}
	w.mu.Unlock()
	if rows <= decodeRows {
		return m.newWorkspace(decodeRows)
	}
	return m.newWorkspace(max(m.parts.Backend.PassRows(), decodeRows))
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
