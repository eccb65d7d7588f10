// Package plist writes property lists as XML.
package plist

import (
	"bytes"
	"encoding/xml"
	"fmt"
)

// Dict is a dictionary in the order it is written in. A value is a string, a bool, an
// int, a Dict, or a slice of strings or Dicts.
type Dict []Entry

// Entry is a key of a dictionary and what it means.
type Entry struct {
	Key   string
	Value any
}

// Marshal returns the property list of d.
func Marshal(d Dict) ([]byte, error) {
	w := bytes.NewBufferString(xml.Header + `<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
`)
	if err := write(w, d, ""); err != nil {
		return nil, err
	}
	w.WriteString("</plist>\n")
	return w.Bytes(), nil
}

func write(w *bytes.Buffer, value any, indent string) error {
	inside := indent + "\t"
	switch v := value.(type) {
	case string:
		fmt.Fprintf(w, "%s<string>%s</string>\n", indent, escape(v))
	case bool:
		fmt.Fprintf(w, "%s<%t/>\n", indent, v)
	case int:
		fmt.Fprintf(w, "%s<integer>%d</integer>\n", indent, v)
	case Dict:
		fmt.Fprintf(w, "%s<dict>\n", indent)
		for _, e := range v {
			fmt.Fprintf(w, "%s<key>%s</key>\n", inside, escape(e.Key))
			if err := write(w, e.Value, inside); err != nil {
				return fmt.Errorf("%s: %w", e.Key, err)
			}
		}
		fmt.Fprintf(w, "%s</dict>\n", indent)
	case []string:
		return writeArray(w, v, indent)
	case []Dict:
		return writeArray(w, v, indent)
	default:
		return fmt.Errorf("a property list holds no %T", value)
	}
	return nil
}

func writeArray[T any](w *bytes.Buffer, values []T, indent string) error {
	fmt.Fprintf(w, "%s<array>\n", indent)
	for _, v := range values {
		if err := write(w, v, indent+"\t"); err != nil {
			return err
		}
	}
	fmt.Fprintf(w, "%s</array>\n", indent)
	return nil
}

func escape(s string) string {
	var b bytes.Buffer
	xml.EscapeText(&b, []byte(s))
	return b.String()
}
