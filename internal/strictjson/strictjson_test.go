package strictjson_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/internal/strictjson"
)

func TestObject(t *testing.T) {
	text := ` {"a" : 1,"b":[1, {"x":"]"}] , "c\u0064":"\"}{", "":{"y":null}, "e":true
		, "f":-1.5e3 } `
	var keys, values []string
	err := strictjson.Object([]byte(text), func(key string, value json.RawMessage) error {
		keys, values = append(keys, key), append(values, string(value))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", "b", "cd", "", "e", "f"}; !reflect.DeepEqual(keys, want) {
		t.Errorf("keys %q, want %q", keys, want)
	}
	if want := []string{"1", `[1, {"x":"]"}]`, `"\"}{"`, `{"y":null}`, "true", "-1.5e3"}; !reflect.DeepEqual(values, want) {
		t.Errorf("values %q, want %q", values, want)
	}
}

func TestRepeated(t *testing.T) {
	n := 0
	err := strictjson.Object([]byte(`{"a":[1],"b":2,"\u0061":[1],"a":[1]}`), func(string, json.RawMessage) error { n++; return nil })
	if err != nil || n != 2 {
		t.Errorf("%d members, error %v", n, err)
	}
}

func TestRefused(t *testing.T) {
	for _, text := range []string{
		"", " ", "null", "[]", "{", "}", `{"a"}`, `{"a":}`, `{"a":1,}`, `{"a":1} x`, `{"a":1}{}`, `{a:1}`,
		`{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"a":1,"a":1.0}`, "{\"\xff\":1}", "{\"a\":\"\xff\"}",
		strings.Repeat(`{"a":`, 20000) + "1" + strings.Repeat("}", 20000),
	} {
		if _, err := strictjson.Members([]byte(text)); !errors.Is(err, strictjson.ErrSyntax) {
			t.Errorf("%.40q: error %v", text, err)
		}
	}
	stop := errors.New("stop")
	err := strictjson.Object([]byte(`{"a":1,"b":2}`), func(key string, _ json.RawMessage) error {
		if key == "b" {
			t.Error("went on after an error")
		}
		return stop
	})
	if err != stop {
		t.Errorf("error %v, want the callback's", err)
	}
}

// FuzzObject holds Object to encoding/json: the same members, unless a key
// occurs twice.
func FuzzObject(f *testing.F) {
	f.Add([]byte(`{"a":{"b":[1,2,"\"}"]},"\u0062":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := strictjson.Members(data)
		var want map[string]json.RawMessage
		if jsonErr := json.Unmarshal(data, &want); jsonErr != nil {
			if err == nil {
				t.Fatalf("accepted what encoding/json refuses: %v", jsonErr)
			}
			return
		}
		if err != nil {
			return // twice the same key, null, or text that is not UTF-8
		}
		if len(got) != len(want) {
			t.Fatalf("%d members, want %d", len(got), len(want))
		}
		for key, value := range want {
			if string(got[key]) != string(value) {
				t.Fatalf("%q is %q, want %q", key, got[key], value)
			}
		}
	})
}
