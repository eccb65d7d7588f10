package hub

import (
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzNames checks that no accepted name leads out of the folder it is joined to.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"config.json", "../x", "a/../../b", `a\..\b`, "C:x", "/abs", "nul", "a\x00", "refs/pr/1", "org/name@v1", "hf://models/a/b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if checkFileName(s) == "" {
			if !filepath.IsLocal(filepath.FromSlash(s)) || strings.ContainsAny(s, "\\:\x00") {
				t.Errorf("accepted the file name %q", s)
			}
			u := (&settings{endpoint: &url.URL{Scheme: "https", Host: "hub"}}).fileURL(Repo{ID: "a/b"}, "main", s)
			parsed, err := url.Parse(u.String())
			if err != nil || parsed.Host != "hub" || parsed.Path != "/a/b/resolve/main/"+s || parsed.RawQuery != "" {
				t.Errorf("%q is asked for at %s (%v)", s, u, err)
			}
		}
		repo, err := ParseRepo(s)
		if err != nil {
			return
		}
		folder := repo.folder()
		if strings.ContainsAny(folder, `/\:`) || strings.Count(folder, "--") != 1+strings.Count(repo.ID, "/") || !filepath.IsLocal(filepath.FromSlash(repo.revision())) {
			t.Errorf("%q becomes folder %q, revision %q", s, folder, repo.revision())
		}
		if again, err := ParseRepo(repo.String()); err != nil || again != repo {
			t.Errorf("%q prints as %q", s, repo)
		}
	})
}

// FuzzMetadata checks that headers that are accepted name a blob and a snapshot and nothing else.
func FuzzMetadata(f *testing.F) {
	hash, commit := strings.Repeat("a1", 32), strings.Repeat("0b", 20)
	f.Add(200, hash, commit, "10", "", "")
	f.Add(302, `W/"`+hash+`"`, commit, "", "10", "")
	f.Add(302, "../../evil", commit, "10", "", "gzip")
	f.Add(200, commit, "../x", "-1", "99999999999999999999", "identity")
	f.Fuzz(func(t *testing.T, status int, etag, commit, linked, length, encoding string) {
		h := http.Header{}
		for name, value := range map[string]string{"Etag": etag, "X-Repo-Commit": commit, "X-Linked-Size": linked, "Content-Length": length, "Content-Encoding": encoding} {
			if value != "" {
				h.Set(name, value)
			}
		}
		meta, err := parseMetadata(&response{&http.Response{StatusCode: status, Header: h}, &url.URL{Scheme: "https", Host: "hub"}, true})
		if err != nil {
			return
		}
		if (len(meta.hash) != 40 && len(meta.hash) != 64) || len(meta.commit) != 40 || strings.Trim(meta.hash+meta.commit, "0123456789abcdef") != "" || meta.size < 0 || meta.size > maxFileSize {
			t.Errorf("accepted %+v", meta)
		}
	})
}

// FuzzListing checks the answer about a whole repository, and the cached one.
func FuzzListing(f *testing.F) {
	f.Add([]byte(`{"sha":"` + strings.Repeat("0b", 20) + `","siblings":[{"rfilename":"a","size":1,"blobId":"` + strings.Repeat("0c", 20) + `"},{"rfilename":"../b","lfs":{"sha256":"` + strings.Repeat("d0", 32) + `","size":2}}]}`))
	f.Add([]byte(`{"sha":"main","siblings":[{"size":-1}]}`))
	f.Add([]byte(`{"format_version":1,"files":{"a":{"size":1}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if list, err := parseListing(data); err == nil {
			for _, file := range list.files {
				if file.Size < 0 || (file.Hash != "" && !isBlobHash(file.Hash)) {
					t.Errorf("accepted %+v", file)
				}
			}
		}
		for name := range parseTree(data).Files {
			if matchAny([]string{"["}, name) != (name == "[") {
				t.Errorf("%q matches [", name)
			}
		}
	})
}

// FuzzMatch checks the pattern matcher against one that tries everything.
func FuzzMatch(f *testing.F) {
	f.Add("*.json", "a.json")
	f.Add("a*[!b-d]?", "axyz")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern) > 12 || len(name) > 12 {
			return
		}
		if got, want := match(pattern, name), matchSlowly(pattern, name); got != want {
			t.Errorf("match(%q, %q) is %t", pattern, name, got)
		}
	})
}

func matchSlowly(pattern, name string) bool {
	if pattern == "" {
		return name == ""
	}
	if rest, ok := strings.CutPrefix(pattern, "*"); ok {
		for i := range name {
			if matchSlowly(rest, name[i:]) {
				return true
			}
		}
		return matchSlowly(rest, "")
	}
	if name == "" {
		return false
	}
	c, size := utf8.DecodeRuneInString(name)
	ok, rest := matchOne(pattern, c)
	return ok && matchSlowly(rest, name[size:])
}
