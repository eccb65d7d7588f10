package server

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/go-openelm/go-openelm/internal/strictjson"
	"github.com/go-openelm/go-openelm/openelm"
)

// maxInputs is how many texts a request may have embedded, as in OpenAI's API.
const maxInputs = 2048

// embeddingParams are the parameters of /v1/embeddings.
type embeddingParams struct {
	model, format string
	input         json.RawMessage
	dimensions    int
}

func (p *embeddingParams) fields() fields {
	return fields{
		"model": text(&p.model),
		"input": func(v json.RawMessage) error { p.input = v; return nil },
		"encoding_format": func(v json.RawMessage) error {
			if err := text(&p.format)(v); err != nil || p.format != "float" && p.format != "base64" {
				return errors.New(`must be "float" or "base64"`)
			}
			return nil
		},
		"dimensions": integer(&p.dimensions, 1, math.MaxInt32),
		"user":       without,
	}
}

type embedding struct {
	Object    string `json:"object"`
	Index     int    `json:"index"`
	Embedding any    `json:"embedding"`
}

func (s *Server) embeddings(w *response, r *http.Request) error {
	body, err := s.readBody(w, r)
	if err != nil {
		return err
	}
	p := embeddingParams{format: "float"}
	if err := p.fields().decode(body); err != nil {
		return err
	}
	m, err := s.use(w, r, p.model)
	if err != nil {
		return err
	}
	if err := m.checkDimensions(p.dimensions); err != nil {
		return err
	}
	texts, err := m.texts("input", p.input, maxInputs, m.bounded(m.Model.Encode))
	if err != nil {
		return err
	}
	var data []embedding
	tokens, err := s.embed(r, m, texts, func(v []float32) {
		e := embedding{"embedding", len(data), v}
		if p.format == "base64" {
			var b []byte
			for _, x := range v {
				b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
			}
			e.Embedding = base64.StdEncoding.EncodeToString(b)
		}
		data = append(data, e)
	})
	if err != nil {
		return err
	}
	return w.json(http.StatusOK, map[string]any{
		"object": "list", "data": data, "model": m.Name, "usage": map[string]int{"prompt_tokens": tokens, "total_tokens": tokens},
	})
}

// checkDimensions refuses embeddings of another length than the model's.
func (m *Model) checkDimensions(n int) error {
	if dim := m.Model.Config().ModelDim; n != 0 && n != dim {
		return invalid("dimensions", "dimensions: embeddings of this model have %d", dim)
	}
	return nil
}

// embed embeds texts in one of the model's places, and counts their tokens.
func (s *Server) embed(r *http.Request, m *Model, texts [][]int32, each func([]float32)) (tokens int, err error) {
	longest := m.Model.Config().MaxContext
	for i, ids := range texts {
		if len(ids) > longest {
			return 0, refuse(http.StatusBadRequest, "context_length_exceeded", "the context is %d tokens; text %d has %d", longest, i, len(ids))
		}
	}
	leave, err := s.enterBatch(r.Context(), m)
	if err != nil {
		return 0, err
	}
	defer leave()
	for _, ids := range texts {
		v, err := m.Model.Embed(r.Context(), ids, &openelm.SessionOptions{Adapter: m.Adapter, Batch: m.Batch})
		if err != nil {
			return 0, err
		}
		each(v)
		tokens += len(ids)
	}
	s.metrics.prompt.Add(float64(tokens))
	return tokens, nil
}

// ollamaEmbedRequest is a request of one of Ollama's two endpoints for embeddings.
type ollamaEmbedRequest struct {
	model      string
	input      json.RawMessage
	truncate   bool
	dimensions int
	keep       *time.Duration
}

// fields are those of /api/embed, or of the older /api/embeddings.
func (p *ollamaEmbedRequest) fields(input string) fields {
	p.truncate = true
	f := fields{
		"model":      modelName(&p.model),
		input:        func(v json.RawMessage) error { p.input = v; return nil },
		"keep_alive": keepAlive(&p.keep),
		"options":    only("{}"),
	}
	if input == "input" {
		f["truncate"] = boolean(&p.truncate)
		f["dimensions"] = integer(&p.dimensions, 1, math.MaxInt32)
	}
	return f
}

func (s *Server) ollamaEmbeddings(w *response, r *http.Request, input string, each func([]float32)) (m *Model, tokens int, err error) {
	body, err := s.readBody(w, r)
	if err != nil {
		return nil, 0, err
	}
	var p ollamaEmbedRequest
	if err := p.fields(input).decode(body); err != nil {
		return nil, 0, err
	}
	w.keep = p.keep
	if m, err = s.use(w, r, p.model); err != nil {
		return nil, 0, err
	}
	if err := m.checkDimensions(p.dimensions); err != nil {
		return nil, 0, err
	}
	if _, ok := strictjson.String(p.input); !ok && input == "prompt" {
		return nil, 0, invalid(input, "%s: must be a text", input)
	}
	longest := m.Model.Config().MaxContext
	texts, err := m.texts(input, p.input, maxInputs, func(text string) ([]int32, error) {
		if !p.truncate {
			return m.bounded(m.Model.Encode)(text)
		}
		// No more is encoded than can be kept.
		ids, err := m.Model.Encode(cutText(text, longest*m.longest))
		return ids[:min(len(ids), longest)], err
	})
	if err != nil {
		return nil, 0, err
	}
	tokens, err = s.embed(r, m, texts, each)
	return m, tokens, err
}

// cutText is the beginning of a text, of whole characters.
func cutText(text string, size int) string {
	if len(text) <= size {
		return text
	}
	return strings.ToValidUTF8(text[:size], "")
}

func (s *Server) ollamaEmbed(w *response, r *http.Request) error {
	start := time.Now()
	list := [][]float32{}
	m, tokens, err := s.ollamaEmbeddings(w, r, "input", func(v []float32) { list = append(list, v) })
	if err != nil {
		return err
	}
	return w.json(http.StatusOK, struct {
		Model      string        `json:"model"`
		Embeddings [][]float32   `json:"embeddings"`
		Total      time.Duration `json:"total_duration"`
		Load       time.Duration `json:"load_duration"`
		Tokens     int           `json:"prompt_eval_count"`
	}{m.Name + latest, list, time.Since(start), 0, tokens})
}

func (s *Server) ollamaEmbedding(w *response, r *http.Request) error {
	var embedding []float32
	if _, _, err := s.ollamaEmbeddings(w, r, "prompt", func(v []float32) { embedding = v }); err != nil {
		return err
	}
	return w.json(http.StatusOK, map[string][]float32{"embedding": embedding})
}
