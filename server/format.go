package server

import (
	"encoding/json"
	"errors"

	"github.com/go-openelm/go-openelm/internal/strictjson"
	"github.com/go-openelm/go-openelm/schema"
)

// A text that is to be JSON is asked for in three ways. Each reads it into
// params.format; what of a schema is outside of the subset is refused here, before
// anything is generated.

// responseFormat is response_format of chats.
func (p *params) responseFormat(v json.RawMessage) error {
	var kind string
	var described json.RawMessage
	err := fields{
		"type":        text(&kind),
		"json_schema": func(v json.RawMessage) error { described = v; return nil },
	}.inside(v)
	switch {
	case err != nil:
		return err
	case kind != "json_schema" && described != nil:
		return errors.New("json_schema: only where type is json_schema")
	case kind != "json_schema":
		return p.plainFormat(kind)
	case described == nil:
		return errors.New("json_schema: is missing")
	}
	return p.namedSchema(fields{}, described)
}

// textFormat is text.format of responses.
func (p *params) textFormat(v json.RawMessage) error {
	var kind string
	if all, err := strictjson.Members(v); err == nil {
		kind, _ = strictjson.String(all["type"])
	}
	f := fields{"type": text(&kind)}
	if kind == "json_schema" {
		return p.namedSchema(f, v)
	}
	if err := f.inside(v); err != nil {
		return err
	}
	return p.plainFormat(kind)
}

func (p *params) plainFormat(kind string) error {
	switch kind {
	case "text":
	case "json_object":
		p.format = schema.Object()
	default:
		return errors.New("type: must be text, json_object or json_schema")
	}
	return nil
}

// namedSchema reads a schema with its name.
func (p *params) namedSchema(f fields, v json.RawMessage) error {
	var described json.RawMessage
	f["name"], f["description"] = text(new(string)), text(new(string))
	f["strict"] = boolean(new(bool))
	f["schema"] = func(v json.RawMessage) error { described = v; return nil }
	if err := f.inside(v); err != nil {
		return err
	}
	if described == nil {
		return errors.New("schema: is missing")
	}
	return p.schema(described)
}

// ollamaFormat is format of Ollama's endpoints: "json", or a schema.
func (p *params) ollamaFormat(v json.RawMessage) error {
	switch s, ok := strictjson.String(v); {
	case ok && s == "json":
		p.format = schema.Object()
		return nil
	case ok && s == "":
		return nil
	case v[0] != '{':
		return errors.New(`must be "json" or a JSON schema`)
	}
	return p.schema(v)
}

func (p *params) schema(v json.RawMessage) (err error) {
	p.format, err = schema.Compile(v)
	return err
}
