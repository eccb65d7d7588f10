package loader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-openelm/go-openelm/internal/strictjson"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/loader/hub"
	"github.com/go-openelm/go-openelm/loader/safetensors"
)

// checkpoint is what the headers of a checkpoint's files say. Nothing of the
// weights has been read.
type checkpoint struct {
	checkpointConfig
	configFile string // for messages
	files      []*file
	tensors    map[string]*tensor
	names      naming
	tokenizer  tokenizerSource
	lora       []*tensor // of an adapter that CoreNet saved with the model
	warnings   []string  // what is odd but harmless
	problem    error     // why there can be no model of it, though its headers can be read
}

// keep makes an error about what a file asks for the checkpoint's problem, and
// returns any other.
func (c *checkpoint) keep(err error) error {
	if e, ok := errors.AsType[*FileError](err); ok && (e.Kind == ErrUnsupported || e.Field != "" && e.Kind == ErrCorrupt) {
		c.problem = err
		return nil
	}
	return err
}

func (c *checkpoint) warn(format string, args ...any) {
	c.warnings = append(c.warnings, fmt.Sprintf(format, args...))
}

// tensor is a tensor of a checkpoint, in whatever kind of file.
type tensor struct {
	name      string
	file      *file
	kind      string         // the type of its elements, as the file spells it
	format    kernels.Format // 0 when kind is none of a weight's: packed words, integers
	shape     []int          // outermost first
	off, size int64          // bytes in file
}

func (t *tensor) fail(format string, args ...any) error {
	return corrupt(t.file.name, t.name, format, args...)
}

// Close closes the files.
func (c *checkpoint) Close() error {
	var errs []error
	for _, f := range c.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// The files that hold the weights of a checkpoint directory, in the order in
// which transformers prefers them; the last is corenet's MLX port's.
const (
	configFile  = "config.json"
	singleFile  = "model.safetensors"
	indexFile   = "model.safetensors.index.json"
	corenetFile = "weights.safetensors"
)

// readConfig reads config.json only.
func readConfig(ctx context.Context, src source) (*checkpoint, error) {
	path, text, err := readText(ctx, src, configFile)
	if err != nil {
		return nil, err
	}
	c := &checkpoint{configFile: path, tokenizer: besideWeights{src}, tensors: map[string]*tensor{}}
	config, err := parseConfig(path, text)
	if err := c.keep(err); err != nil {
		return nil, err
	}
	c.checkpointConfig = *config
	if err := c.readGenerationConfig(ctx, src); err != nil {
		return nil, err
	}
	if c.problem == nil {
		c.problem = c.validate()
	}
	return c, nil
}

// readGenerationConfig takes from generation_config.json, which may be missing,
// the tokens that end a text: they count for transformers and mlx-lm in place of
// those in config.json.
func (c *checkpoint) readGenerationConfig(ctx context.Context, src source) error {
	path, text, err := readText(ctx, src, "generation_config.json")
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	members, err := strictjson.Members(text)
	if err != nil {
		return corrupt(path, "", "%w", err)
	}
	r := &configReader{file: path, members: members}
	if r.has("eos_token_id") {
		c.EOS = r.tokens("eos_token_id")
	}
	return r.err
}

func (c *checkpoint) validate() error {
	warnings, err := c.checkpointConfig.validate(c.configFile)
	c.warnings = append(c.warnings, warnings...)
	return err
}

// readCheckpoint reads config.json and the headers of the weights of a
// Hugging Face or MLX checkpoint. With a weightFile, the weights are in that
// file. They are not looked at where there can be no model, unless describe is
// set: they may have to be downloaded.
func readCheckpoint(ctx context.Context, src source, weightFile string, describe bool) (_ *checkpoint, err error) {
	c, err := readConfig(ctx, src)
	if err != nil || c.problem != nil && !describe {
		return c, err
	}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	if weightFile != "" {
		err = c.addSafetensors(ctx, src, weightFile)
	} else {
		err = c.findWeights(ctx, src)
	}
	if err != nil {
		return nil, err
	}
	c.recogniseNames()
	c.dropPadding()
	return c, nil
}

func (c *checkpoint) recogniseNames() {
	c.names = huggingFace
	if _, corenet := c.tensors[coreNet.embedding+".weight"]; corenet {
		c.names = coreNet
	}
}

// findWeights adds the files with the weights.
func (c *checkpoint) findWeights(ctx context.Context, src source) error {
	var missing []error
	for _, name := range []string{singleFile, indexFile, corenetFile} {
		f, err := src.open(ctx, name)
		switch {
		case err == nil && name == indexFile:
			f.Close()
			return c.addShards(ctx, src)
		case err == nil:
			return c.addTensors(ctx, f)
		case !errors.Is(err, ErrNotFound):
			return err
		}
		missing = append(missing, err)
	}
	names, err := src.list(ctx)
	if shards := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !isShard.MatchString(name) }); err == nil && len(shards) > 0 {
		return c.addUnlisted(ctx, src, shards)
	}
	if i := slices.IndexFunc(names, isPyTorch); err == nil && i >= 0 {
		f, err := src.open(ctx, names[i])
		if err != nil {
			return err
		}
		c.files = append(c.files, f)
		return c.addPyTorch(f)
	}
	for _, err := range missing {
		if errors.Is(err, hub.ErrNotCached) {
			return err // it may be there
		}
	}
	e := absent(src.String(), names, "none of %s, %s and %s is there", singleFile, indexFile, corenetFile)
	e.Err = weightless{e.Err}
	return e
}

// weightless is why a config.json is all there is of a Hugging Face checkpoint.
type weightless struct{ error }

// addShards adds the files that the index names and holds them to it. Tensors
// that the index does not have, or has elsewhere, are there all the same.
func (c *checkpoint) addShards(ctx context.Context, src source) error {
	path, text, err := readText(ctx, src, indexFile)
	if err != nil {
		return err
	}
	index, err := safetensors.ParseIndex(text)
	if err != nil {
		return inFile(path, err)
	}
	for _, shard := range index.Shards() {
		if err := c.addSafetensors(ctx, src, shard); err != nil {
			return err
		}
	}
	for name, shard := range index.Files {
		if c.tensors[name] == nil {
			return corrupt(path, name, "%s does not have this tensor", shard)
		}
	}
	return nil
}

// isShard matches the files that mlx-lm takes for a model's weights.
var (
	isShard  = regexp.MustCompile(`^model.*\.safetensors$`)
	shardsOf = regexp.MustCompile(`-of-0*(\d+)\.safetensors$`)
)

// addUnlisted adds the shards of a checkpoint that has no index.
func (c *checkpoint) addUnlisted(ctx context.Context, src source, shards []string) error {
	if m := shardsOf.FindStringSubmatch(shards[0]); m != nil && m[1] != strconv.Itoa(len(shards)) {
		return &FileError{File: src.String(), Kind: ErrNotFound, Err: fmt.Errorf("%d of the %s files with weights are there, %s first", len(shards), m[1], shards[0])}
	}
	for _, shard := range shards {
		if err := c.addSafetensors(ctx, src, shard); err != nil {
			return err
		}
	}
	return nil
}

// addSafetensors adds the tensors of a file.
func (c *checkpoint) addSafetensors(ctx context.Context, src source, name string) error {
	f, err := src.open(ctx, name)
	if err != nil {
		return err
	}
	return c.addTensors(ctx, f)
}

// addTensors adds the tensors of an open file, which is the checkpoint's to close.
func (c *checkpoint) addTensors(ctx context.Context, f *file) error {
	c.files = append(c.files, f)
	h, err := safetensors.ReadHeader(f, f.size)
	if err != nil {
		return firstError(f.checkForeign(), inFile(f.name, err))
	}
	for _, t := range h.Tensors {
		added := &tensor{
			name: t.Name, file: f, kind: string(t.DType), format: floatFormats[t.DType],
			shape: t.Shape, off: t.Offset, size: t.Size,
		}
		if other := c.tensors[t.Name]; other != nil {
			same, err := added.sameAs(ctx, other)
			if err != nil {
				return err
			}
			if !same {
				return added.fail("%s has another tensor of this name", other.file.name)
			}
			continue
		}
		c.tensors[t.Name] = added
	}
	return nil
}

// sameAs reports whether two tensors have the same type, shape and bytes.
func (t *tensor) sameAs(ctx context.Context, other *tensor) (bool, error) {
	if t.kind != other.kind || t.size != other.size || !slices.Equal(t.shape, other.shape) {
		return false, nil
	}
	const piece = 1 << 16
	var pieces [2][]byte
	for off := int64(0); off < t.size; off += piece {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		for i, from := range []*tensor{t, other} {
			pieces[i] = slices.Grow(pieces[i][:0], piece)[:min(piece, t.size-off)]
			if err := from.file.readFull(pieces[i], from.off+off); err != nil {
				return false, inFile(from.file.name, err)
			}
		}
		if !bytes.Equal(pieces[0], pieces[1]) {
			return false, nil
		}
	}
	return true, nil
}

var floatFormats = map[safetensors.DType]kernels.Format{
	safetensors.F32: kernels.F32, safetensors.F16: kernels.F16, safetensors.BF16: kernels.BF16,
}

// checkUnused looks at the tensors that are in no role. Those that only repeat
// what follows from the configuration pass in silence, those outside of all that
// the model computes are worth a warning. One inside of it would change the
// results, and is an error; so is any if strict is set.
func (c *checkpoint) checkUnused(used map[*tensor]bool, strict bool) error {
	var wrong []*tensor
	for _, name := range slices.Sorted(maps.Keys(c.tensors)) {
		t := c.tensors[name]
		switch {
		case used[t]:
		case strict || c.names.inside(t.name) && !c.harmless(t.name):
			wrong = append(wrong, t)
		case !c.harmless(t.name):
			c.warn("%s: the model has no place for tensor %s; it is not used", t.file.name, t.name)
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return unsupported(wrong[0].file.name, wrong[0].name, "an OpenELM model with this configuration has no such tensor (and there are %d more)", len(wrong)-1)
}

// harmless are the tensors that some tools save although they follow from the
// configuration.
func (c *checkpoint) harmless(name string) bool {
	return strings.HasSuffix(name, ".inv_freq") || strings.HasSuffix(name, ".causal_mask") ||
		c.TiedHead && strings.HasPrefix(name, c.names.head+".")
}
