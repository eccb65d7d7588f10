package tokenizer_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/loader/tokenizer"
)

// english is prose by this package's authors, long enough that no two benchmark words repeat at once.
const english = `Every evening the old lighthouse keeper climbed the narrow stairs with a lamp in one hand and a ` +
	`paper bag of biscuits in the other. He had counted the steps so often (there were two hundred and eleven) that ` +
	`his feet knew them better than his head did. "Good evening, gulls," he would say at the top, and the gulls, who ` +
	`had learned about the biscuits in 1987 or thereabouts, answered politely. Far below, the sea went on with its ` +
	`quiet arithmetic: seven waves, then one larger wave; seven waves, then one larger wave.` + "\n\n"

// fill repeats s to n bytes.
func fill(s string, n int) string { return strings.Repeat(s, n/len(s)+1)[:n] }

// BenchmarkEncode shows that the speed does not depend on the length of the text,
// nor collapses for texts made to be slow.
func BenchmarkEncode(b *testing.B) {
	tok := fromModel(b, ".")
	for _, text := range []struct{ name, unit string }{
		{"english", english},
		{"chinese", "春天来了，小河边的柳树发出了嫩绿的新芽。孩子们在田野里奔跑，放着五颜六色的风筝。"},
		{"emoji", "🦊🌲🔥"},
		{"a", "a"},
		{"spaces", " "},
		{"nowordbreaks", "themotheroftheinternationalunderstandingwasnotaninformation"},
	} {
		for _, size := range []int{1 << 10, 16 << 10, 128 << 10, 1 << 20} {
			s := fill(text.unit, size)
			b.Run(fmt.Sprintf("%s/%dKB", text.name, size>>10), func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				ids := tok.Encode(s) // grows the working memory that later calls find ready
				for b.Loop() {
					ids = tok.AppendEncode(ids[:0], s)
				}
			})
		}
	}
}

func BenchmarkDecoder(b *testing.B) {
	tok := fromModel(b, ".")
	ids := tok.Encode(fill(english, 16<<10))
	b.SetBytes(16 << 10)
	b.ReportAllocs()
	for b.Loop() {
		d := tok.NewDecoder()
		for _, id := range ids {
			d.Next(id)
		}
		d.Flush()
	}
}

func BenchmarkLoad(b *testing.B) {
	model, json := readFile(b, "tokenizer.model"), readFile(b, "tokenizer.json")
	for _, source := range []struct {
		name string
		data []byte
		load func([]byte) (*tokenizer.Tokenizer, error)
	}{{"model", model, tokenizer.FromModel}, {"json", json, tokenizer.FromJSON}} {
		b.Run(source.name, func(b *testing.B) {
			b.SetBytes(int64(len(source.data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := source.load(source.data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
