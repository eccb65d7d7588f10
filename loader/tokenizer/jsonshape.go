package tokenizer

import (
	"encoding/json"
	"fmt"
	"strings"
)

// canonical returns JSON without blanks and with sorted names, for comparison.
func canonical(raw json.RawMessage) string {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return ""
	}
	if m, ok := v.(map[string]any); ok && m["type"] == "Metaspace" && m["prepend_scheme"] != nil {
		delete(m, "add_prefix_space") // the older name, kept beside the newer by some versions
	}
	out, _ := json.Marshal(v) // cannot fail: it has just been decoded
	return string(out)
}

// The steps that a normalizer, a pre-tokenizer and a decoder may have.
const (
	stepPrepend      = `{"prepend":"▁","type":"Prepend"}`
	stepSpaces       = `{"content":"▁","pattern":{"String":" "},"type":"Replace"}`
	stepMetaspace    = `{"prepend_scheme":"%s","replacement":"▁","split":false,"type":"Metaspace"}`
	stepMarks        = `{"content":" ","pattern":{"String":"▁"},"type":"Replace"}`
	stepByteFallback = `{"type":"ByteFallback"}`
	stepFuse         = `{"type":"Fuse"}`
	stepStrip        = `{"content":" ","start":1,"stop":0,"type":"Strip"}`
)

// steps returns the steps of a section in canonical form, whether it is one step or a sequence.
func (p *jsonSource) steps(path, list string, raw json.RawMessage) (string, error) {
	if isNull(raw) {
		return "", nil
	}
	section, err := p.members(path, raw)
	if err != nil {
		return "", err
	}
	if string(section["type"]) != `"Sequence"` {
		return canonical(raw), nil
	}
	var steps strings.Builder
	err = p.array(path+"."+list, section[list], func(_ int, raw json.RawMessage) error {
		steps.WriteString(canonical(raw))
		return nil
	})
	return steps.String(), err
}

func (p *jsonSource) readNormalizer(raw json.RawMessage) error {
	steps, err := p.steps("normalizer", "normalizers", raw)
	switch {
	case err != nil:
		return err
	case steps == stepPrepend+stepSpaces:
		p.prefix = prefixAlways
	case steps == stepSpaces:
		p.prefix = prefixNever
	case steps == "":
		p.prefix, p.bare = prefixNever, true
	default:
		return p.unsupported("normalizer", "is %s; expected Llama's: Prepend \"▁\", Replace \" \" by \"▁\"", clip(steps))
	}
	return nil
}

// readPreTokenizer accepts none, or the Metaspace that newer files have in place
// of a normalizer. Unlike Prepend it adds no space before a space.
func (p *jsonSource) readPreTokenizer(raw json.RawMessage) error {
	steps, err := p.steps("pre_tokenizer", "pretokenizers", raw)
	switch {
	case err != nil:
		return err
	case steps == "" && p.bare:
		return p.unsupported("normalizer", "is missing, and so is a pre_tokenizer: nothing makes \"▁\" of spaces")
	case steps == "":
		return nil
	}
	for scheme, rule := range map[string]prefixRule{"always": prefixAlways, "first": prefixFirst, "never": prefixNever} {
		if steps == fmt.Sprintf(stepMetaspace, scheme) && p.bare {
			p.prefix, p.prefixUnlessSpace, p.cutNormalized = rule, true, true
			return nil
		}
	}
	return p.unsupported("pre_tokenizer", "is %s; expected none, or without a normalizer a Metaspace with split off", clip(steps))
}

func (p *jsonSource) readDecoder(raw json.RawMessage) error {
	steps, err := p.steps("decoder", "decoders", raw)
	if err != nil {
		return err
	}
	rest, ok := strings.CutPrefix(steps, stepMarks)
	if p.byteFallback && ok {
		rest, ok = strings.CutPrefix(rest, stepByteFallback)
	}
	if ok {
		rest, ok = strings.CutPrefix(rest, stepFuse)
	}
	p.stripPrefix = rest == stepStrip
	if !ok || rest != "" && !p.stripPrefix {
		return p.unsupported("decoder", "is %s; expected Llama's: Replace \"▁\" by \" \", ByteFallback, Fuse, Strip", clip(steps))
	}
	return nil
}

// readPostProcessor takes from the template for single texts which special
// tokens are put around them.
func (p *jsonSource) readPostProcessor(raw json.RawMessage) error {
	if isNull(raw) {
		return nil // what the tokenizer's class does by itself, as without a tokenizer.json
	}
	p.addBOS, p.addEOS, p.framed = false, false, true
	const path = "post_processor"
	var template struct {
		Type   string `json:"type"`
		Single []struct {
			SpecialToken *struct{ ID string }
			Sequence     *struct{ ID string }
		} `json:"single"`
	}
	if err := json.Unmarshal(raw, &template); err != nil {
		return p.errorf(path, "%v", err)
	}
	if template.Type != "TemplateProcessing" {
		return p.unsupported(path+".type", "is %q; only \"TemplateProcessing\" is supported", template.Type)
	}
	before, after := 0, 0 // special tokens before and after the text
	texts := 0
	for i, item := range template.Single {
		path := fmt.Sprintf("%s.single[%d]", path, i)
		switch {
		case item.Sequence != nil && item.SpecialToken == nil && item.Sequence.ID == "A":
			texts++
		case item.SpecialToken != nil && item.Sequence == nil:
			id := p.control(item.SpecialToken.ID)
			if id == None {
				return p.errorf(path, "%s is not a special token of the vocabulary", quote(item.SpecialToken.ID))
			}
			if texts == 0 {
				before++
				p.bos, p.addBOS = id, true
			} else {
				after++
				p.eos, p.addEOS = id, true
			}
		default:
			return p.errorf(path, "is neither a special token nor the text \"A\"")
		}
	}
	if texts != 1 || before > 1 || after > 1 {
		return p.unsupported(path+".single", "has %d special tokens, %d texts, %d special tokens; at most one, one and at most one are supported", before, texts, after)
	}
	return nil
}
