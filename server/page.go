package server

import (
	"embed"
	"net/http"
	"path"
)

//go:embed web/index.html web/page.css web/page.js
var web embed.FS

// pageRoutes are the files of the page that openelm serve --open shows. It talks to
// this server and to nobody else, and holds nothing that a key should keep.
func pageRoutes() map[string]route {
	routes := map[string]route{}
	for name, kind := range map[string]string{"index.html": "text/html", "page.css": "text/css", "page.js": "text/javascript"} {
		text, err := web.ReadFile(path.Join("web", name))
		if err != nil {
			panic(err) // it is embedded above
		}
		if name == "index.html" {
			name = ""
		}
		routes["/"+name] = route{http.MethodGet: func(w *response, _ *http.Request) error {
			h := w.Header()
			h.Set("Content-Type", kind+"; charset=utf-8")
			h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
			h.Set("X-Content-Type-Options", "nosniff")
			h.Set("Referrer-Policy", "no-referrer")
			h.Set("Cache-Control", "no-cache")
			w.deadline(answerTimeout)
			_, err := w.Write(text)
			return err
		}}
	}
	return routes
}
