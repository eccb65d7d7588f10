package hub

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckFileName(t *testing.T) {
	for _, name := range []string{
		"config.json", "model-00001-of-00002.safetensors", "a/b/c.txt", ".gitattributes", "ünïcode 文.bin",
		"a..b", "...a", "console.txt", "com10", "null", strings.Repeat("a", 255),
	} {
		if reason := checkFileName(name); reason != "" {
			t.Errorf("%q %s", name, reason)
		}
	}
	for _, name := range []string{
		"", "/", "/etc/passwd", "..", "../a", "a/../b", "a/..", ".", "./a", "a//b", "a/", `a\b`, `..\a`, `\\host\share`,
		"C:", "C:/a", "c:a", "a:stream", "a\x00b", "a\nb", "a\x7f", "a\u0085", "\xff", "a.", "a ", "a/b./c",
		"CON", "nul", "aux.txt", "dir/COM1", "lpt9.tar.gz", "COM¹", "con .txt", "CONIN$",
		strings.Repeat("a", 256), strings.Repeat("a/", 600) + "a",
	} {
		if checkFileName(name) == "" {
			t.Errorf("%q is accepted", name)
		}
	}
}

func TestParseRepo(t *testing.T) {
	for s, want := range map[string]Repo{
		"apple/OpenELM-270M":              {ID: "apple/OpenELM-270M"},
		"gpt2":                            {ID: "gpt2"},
		"apple/OpenELM-270M@v1.0":         {"apple/OpenELM-270M", "v1.0"},
		"org/name@refs/pr/1":              {"org/name", "refs/pr/1"},
		"hf://org/name@main":              {"org/name", "main"},
		"hf://models/org/name":            {ID: "org/name"},
		"a/b@" + strings.Repeat("0a", 20): {"a/b", strings.Repeat("0a", 20)},
	} {
		repo, err := ParseRepo(s)
		if err != nil || repo != want {
			t.Errorf("%q is %+v, %v", s, repo, err)
		}
		if again, err := ParseRepo(repo.String()); err != nil || again != repo {
			t.Errorf("%q prints as %q", s, repo)
		}
	}
	for _, s := range []string{
		"", "/", "a/", "/a", "a/b/c", "../a", "a/..", "a--b/c", "a..b", "a.git", "-a/b", "a./b", "a b", "ä", `a\b`, "C:", "a/b\n",
		"hf://datasets/a/b", "https://huggingface.co/a/b", strings.Repeat("a", 97),
		"a@", "a@..", "a@/b", "a@b/", "a@b..c", "a@b c", "a@b~1", "a@b^", "a@b:c", "a@b?", "a@b*", "a@b[", "a@@", "a@b@{1}",
		"a@.b", "a@b/.c", "a@b.lock", "a@b.lock/c", "a@b.", "a@b\x00", "a@../../b", `a@b\c`, "a@nul",
	} {
		if repo, err := ParseRepo(s); !errors.Is(err, ErrInvalidName) {
			t.Errorf("%q is %+v, %v", s, repo, err)
		}
	}
	if _, err := (&Client{}).File(t.Context(), Repo{ID: "../x"}, "a"); !errors.Is(err, ErrInvalidName) {
		t.Error(err)
	}
}

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "", true}, {"*", "a/b", true}, {"", "", true}, {"", "a", false}, {"?", "é", true}, {"?", "", false},
		{"*.json", "config.json", true}, {"*.json", "a/b.json", true}, {"*.json", "json", false}, {"config.json", "config.jsonx", false},
		{"[a-c]*", "b/x", true}, {"[!a-c]*", "b", false}, {"[]]", "]", true}, {"[!]]", "a", true}, {"[a", "[a", true}, {"[-a]", "-", true},
		{"a*b*c", "aXbYbc", true}, {"a*b*c", "aXbYb", false}, {"**", "x", true}, {`\*`, `\x`, true},
	} {
		if got := match(tt.pattern, tt.name); got != tt.want {
			t.Errorf("match(%q, %q) is %t", tt.pattern, tt.name, got)
		}
	}
	// One that backtracks at every * takes minutes for this.
	if match(strings.Repeat("*a", 30)+"b", strings.Repeat("a", 5000)) {
		t.Error("matched")
	}
	if !matchAny([]string{"onnx/"}, "onnx/model.onnx") || matchAny([]string{"onnx/"}, "onnx") {
		t.Error("folder")
	}
}

func TestSettings(t *testing.T) {
	home := t.TempDir()
	for _, tt := range []struct {
		name             string
		env              map[string]string
		client           Client
		cache, endpoint  string
		token            string
		offline, nolinks bool
	}{
		{name: "defaults", cache: "~/.cache/huggingface/hub", endpoint: "https://huggingface.co"},
		{name: "XDG", env: map[string]string{"XDG_CACHE_HOME": "/xdg"}, cache: "/xdg/huggingface/hub", endpoint: defaultEndpoint},
		{name: "HF_HOME", env: map[string]string{"XDG_CACHE_HOME": "/xdg", "HF_HOME": "~/hf"}, cache: "~/hf/hub", endpoint: defaultEndpoint},
		{name: "HF_HUB_CACHE", env: map[string]string{"HF_HOME": "/hf", "DISK": "big", "HF_HUB_CACHE": "/${DISK}/$UNSET/hub"}, cache: "/big/$UNSET/hub", endpoint: defaultEndpoint},
		{name: "legacy", env: map[string]string{"HUGGINGFACE_HUB_CACHE": "/old", "HUGGING_FACE_HUB_TOKEN": "hf_old"}, cache: "/old", endpoint: defaultEndpoint, token: "hf_old"},
		{name: "all", env: map[string]string{"HF_ENDPOINT": "https://mirror.example/hf/", "HF_TOKEN": " hf_a\n", "HF_HUB_OFFLINE": "yes", "HF_HUB_DISABLE_SYMLINKS": "ON", "HF_HUB_CACHE": "/c"},
			cache: "/c", endpoint: "https://mirror.example/hf", token: "hf_a", offline: true, nolinks: true},
		{name: "overridden", env: map[string]string{"HF_ENDPOINT": "https://mirror.example", "HF_TOKEN": "hf_a", "HF_HUB_CACHE": "/c"},
			client: Client{Endpoint: "http://127.0.0.1:1", Token: "hf_b", CacheDir: "/d", Offline: true}, cache: "/d", endpoint: "http://127.0.0.1:1", token: "hf_b", offline: true},
		{name: "token file", env: map[string]string{"HF_HOME": "testdata/home", "HF_HUB_CACHE": "/c"}, cache: "/c", endpoint: defaultEndpoint, token: "hf_of_the_file"},
		{name: "HF_TOKEN_PATH", env: map[string]string{"HF_TOKEN_PATH": "testdata/home/token", "HF_HUB_CACHE": "/c"}, cache: "/c", endpoint: defaultEndpoint, token: "hf_of_the_file"},
		{name: "no implicit token", env: map[string]string{"HF_TOKEN": "hf_a", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1", "HF_HUB_CACHE": "/c"}, cache: "/c", endpoint: defaultEndpoint},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.client.Getenv = func(name string) string {
				if name == "HOME" || name == "USERPROFILE" {
					return home
				}
				return tt.env[name]
			}
			s, err := tt.client.settings()
			if err != nil {
				t.Fatal(err)
			}
			cache, _ := filepath.Abs(strings.Replace(tt.cache, "~", home, 1))
			if s.cacheDir != cache || s.endpoint.String() != tt.endpoint || s.token != tt.token || s.offline != tt.offline || s.noSymlinks != tt.nolinks {
				t.Errorf("cache %s, endpoint %s, token %q, offline %t, no links %t", s.cacheDir, s.endpoint, s.token, s.offline, s.noSymlinks)
			}
		})
	}
	nothing := func(string) string { return "" }
	for _, c := range []Client{
		{Getenv: nothing},
		{CacheDir: "/c", Endpoint: "huggingface.co"},
		{CacheDir: "/c", Endpoint: "ftp://huggingface.co"},
		{CacheDir: "/c", Endpoint: "https://user:secret@huggingface.co"},
		{CacheDir: "/c", Endpoint: "https://user:secret@[::1"},
		{CacheDir: "/c", Endpoint: "https://huggingface.co?secret"},
		{CacheDir: "/c", Token: "hf_\x00secret"},
	} {
		c.Getenv = nothing
		if _, err := c.settings(); !errors.Is(err, ErrConfig) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v: %v", c, err)
		}
	}
}
