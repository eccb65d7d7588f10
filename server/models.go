package server

import (
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/go-openelm/go-openelm/chat"
	"github.com/go-openelm/go-openelm/loader/tokenizer"
	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/schema"
)

// Model is what a server offers under a name: a model, bare or with an adapter.
type Model struct {
	Name  string
	Model *openelm.Model
	// Adapter is what its texts are evaluated with; nil for the model's own.
	Adapter *openelm.Adapter
	// Batch runs the requests. Models of the same Model share theirs.
	Batch *openelm.Batch
	// Template is how chats are laid out.
	Template chat.Template

	tokens pieces
	// longest is the most bytes of text that a token stands for.
	longest int
	// vocabulary is made when a request wants structured output.
	vocabulary func() (*schema.Vocabulary, error)
	// identity is known when a session was looked for on disk.
	identity func() (identity, error)
}

// pieces is what a server needs to know of a tokenizer, as those of package
// loader do.
type pieces interface {
	openelm.Tokenizer
	EncodeWith(text string, o tokenizer.EncodeOptions) []int32
	Piece(id int32) string
	Type(id int32) tokenizer.PieceType
	AddsBOS() bool
	AddsEOS() bool
	BOS() int32
	EOS() int32
	PAD() int32
	VocabSize() int
}

// Add offers a model that is there. The first one is what tokenizer endpoints use
// when a request names none.
func (s *Server) Add(m Model) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.offers(m.Name) {
		return fmt.Errorf("server: %w: two models with the name %s", openelm.ErrArgument, m.Name)
	}
	if err := m.prepare(s.models); err != nil {
		return err
	}
	all := append(s.models, &m)
	var source int64 // the largest
	for _, src := range s.sources {
		source = max(source, src.Bytes)
	}
	if most, bytes := s.options.MemoryBytes, weightBytes(all)+source; most > 0 && bytes > most {
		return fmt.Errorf("server: %w: with model %s, %d bytes are needed; the limit is %d", openelm.ErrMemory, m.Name, bytes, most)
	}
	s.models = all
	return nil
}

// prepare checks a model, and makes what requests need of it. It shares what it can
// with others.
func (m *Model) prepare(others []*Model) error {
	if m.Name == "" || m.Model == nil || m.Batch == nil {
		return fmt.Errorf("server: %w: a model needs a name, a model and a batch", openelm.ErrArgument)
	}
	tokens, ok := m.Model.Tokenizer().(pieces)
	if !ok {
		return fmt.Errorf("server: model %s: %w", m.Name, openelm.ErrNoTokenizer)
	}
	if m.Adapter != nil {
		if err := m.Adapter.Validate(m.Model); err != nil {
			return fmt.Errorf("server: model %s: %w", m.Name, err)
		}
	}
	m.tokens = tokens
	for id := range tokens.VocabSize() {
		m.longest = max(m.longest, len(strings.ReplaceAll(tokens.Piece(int32(id)), "▁", " ")))
	}
	m.vocabulary = sync.OnceValues(func() (*schema.Vocabulary, error) { return schema.NewVocabulary(m.Model) })
	m.identity = sync.OnceValues(m.identify)
	for _, other := range others {
		if other.Model == m.Model {
			m.vocabulary = other.vocabulary
		}
	}
	return nil
}

// lookUp is the model of that name that is always there.
func (s *Server) lookUp(name string) (*Model, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, m := range s.models {
		if m.Name == name {
			return m, nil
		}
	}
	if name == "" {
		return nil, invalid("model", "model: a request must name its model")
	}
	e := refuse(http.StatusNotFound, "model_not_found", "there is no model %.100q here; /v1/models lists them", name)
	param := "model"
	e.Param = &param
	return nil, e
}

// useOrFirst is use for requests that need not name a model.
func (s *Server) useOrFirst(w *response, r *http.Request, name string) (*Model, error) {
	if all := s.all(); name == "" && len(all) > 0 {
		name = all[0].name
	}
	return s.use(w, r, name)
}

// checkSize refuses a text that cannot fit into the context, by its bytes, before
// it is encoded.
func (m *Model) checkSize(size int) error {
	if longest := m.Model.Config().MaxContext; size/m.longest > longest {
		return refuse(http.StatusBadRequest, "context_length_exceeded",
			"the context of this model is %d tokens, and a text of %d bytes has more", longest, size)
	}
	return nil
}

// tokenText is the spelling of a token: its text, a control token's name, or for
// a byte that is no character of its own "bytes:\xe2", as OpenAI writes it.
func (m *Model) tokenText(id int32) string {
	b := m.tokenBytes(id)
	if m.tokens.Type(id) == tokenizer.Byte && len(b) == 1 && b[0] >= 0x80 {
		return fmt.Sprintf(`bytes:\x%02x`, b[0])
	}
	return string(b)
}

// tokenBytes is what a token stands for.
func (m *Model) tokenBytes(id int32) []byte {
	piece := m.tokens.Piece(id)
	if m.tokens.Type(id) == tokenizer.Byte {
		var b byte
		if _, err := fmt.Sscanf(piece, "<0x%02X>", &b); err == nil {
			return []byte{b}
		}
	}
	return []byte(strings.ReplaceAll(piece, "▁", " "))
}

const modelsPath = "/v1/models/"

type modelInfo struct {
	ID          string `json:"id"`
	Object      string `json:"object"`
	Created     int64  `json:"created"`
	OwnedBy     string `json:"owned_by"`
	MaxModelLen int    `json:"max_model_len,omitempty"` // where it is known
}

func (s *Server) info(o offer) modelInfo {
	i := modelInfo{ID: o.name, Object: "model", Created: s.started.Unix(), OwnedBy: "go-openelm"}
	if c := o.config(); c != nil {
		i.MaxModelLen = c.MaxContext
	}
	return i
}

func (s *Server) listModels(w *response, _ *http.Request) error {
	list := struct {
		Object string      `json:"object"`
		Data   []modelInfo `json:"data"`
	}{Object: "list", Data: []modelInfo{}}
	for _, o := range s.all() {
		list.Data = append(list.Data, s.info(o))
	}
	return w.json(http.StatusOK, list)
}

func (s *Server) showModel(w *response, r *http.Request) error {
	name := strings.TrimPrefix(r.URL.Path, modelsPath)
	if o, ok := s.offered(name); ok {
		return w.json(http.StatusOK, s.info(o))
	}
	_, err := s.lookUp(name) // there is none
	return err
}
