package assistant

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// exchange takes the ticket of a page's address to the program, as the page does.
func exchange(t *testing.T, address string) (status int, token string) {
	t.Helper()
	base, ticket, ok := strings.Cut(address, "/#ticket=")
	if !ok {
		t.Fatalf("the address is %s", address)
	}
	r, err := http.Post(base+"/session", "application/json", strings.NewReader(`{"ticket":"`+ticket+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var said struct{ Token string }
	if err := json.NewDecoder(r.Body).Decode(&said); err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, said.Token
}

// TestTickets: a ticket is good once and for a while, the newest ones only.
func TestTickets(t *testing.T) {
	var trust trust
	now := time.Now()
	first := trust.newTicket(now)
	for name, ticket := range map[string]string{"none": "", "a guess": strings.Repeat("A", len(first))} {
		if _, ok := trust.exchange(ticket, now); ok {
			t.Errorf("%s is taken for a ticket", name)
		}
	}
	if _, ok := trust.exchange(first, now.Add(ticketTime+time.Second)); ok {
		t.Error("a stale ticket is taken")
	}
	if _, ok := trust.exchange(first, now); ok {
		t.Error("a stale ticket is good later")
	}
	second := trust.newTicket(now)
	if token, ok := trust.exchange(second, now.Add(ticketTime)); !ok || token == "" || token == second {
		t.Error("a ticket is not taken")
	}
	if _, ok := trust.exchange(second, now); ok {
		t.Error("a ticket is taken twice")
	}
	old := trust.newTicket(now)
	for range maxTickets {
		trust.newTicket(now)
	}
	if _, ok := trust.exchange(old, now); ok || len(trust.tickets) != maxTickets {
		t.Errorf("%d tickets are good", len(trust.tickets))
	}
}

// TestTrust: what is not the page that a ticket opened gets nothing.
func TestTrust(t *testing.T) {
	a, err := New(Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close(t.Context())
	address := a.Page()
	status, token := exchange(t, address)
	if status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	if status, _ := exchange(t, address); status != http.StatusUnauthorized {
		t.Errorf("a used ticket: %d", status)
	}
	base, _, _ := strings.Cut(address, "/#")
	paths := map[string]string{
		"/watch": "GET", "/models": "GET", "/history": "GET", "/history/forget": "POST", "/answer": "POST", "/settings": "POST", "/offered": "POST",
		"/model": "POST", "/unload": "POST", "/download/pause": "POST", "/download/forget": "POST",
	}
	type header struct{ name, value string }
	right := header{"Authorization", "Bearer " + token}
	for name, c := range map[string]struct {
		headers []header
		want    int
	}{
		"no token":           {nil, 401},
		"a wrong token":      {[]header{{"Authorization", "Bearer " + strings.Repeat("A", len(token))}}, 401},
		"no Bearer":          {[]header{{"Authorization", token}}, 401},
		"the ticket":         {[]header{{"Authorization", "Bearer " + address[strings.Index(address, "=")+1:]}}, 401},
		"another origin":     {[]header{right, {"Origin", "http://example.com"}}, 403},
		"another port":       {[]header{right, {"Origin", "http://127.0.0.1:1"}}, 403},
		"no origin at all":   {[]header{right, {"Origin", "null"}}, 403},
		"a rebound name":     {[]header{right, {"Host", "example.com"}}, 403},
		"localhost":          {[]header{right, {"Host", "localhost:" + base[strings.LastIndex(base, ":")+1:]}}, 403},
		"another site":       {[]header{right, {"Sec-Fetch-Site", "cross-site"}}, 403},
		"another port, same": {[]header{right, {"Sec-Fetch-Site", "same-site"}}, 403},
	} {
		for path, method := range paths {
			r, err := http.NewRequest(method, base+path, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range c.headers {
				r.Header.Set(h.name, h.value)
				if h.name == "Host" {
					r.Host = h.value
				}
			}
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode != c.want {
				t.Errorf("%s: %s is answered %d, want %d", name, path, answer.StatusCode, c.want)
			}
			if h := answer.Header; h.Get("Access-Control-Allow-Origin") != "" || h.Get("Set-Cookie") != "" || h.Get("Content-Security-Policy") == "" {
				t.Errorf("%s: %s has the headers %v", name, path, h)
			}
		}
	}
	if status, again := exchange(t, a.Page()); status != http.StatusOK || again == token {
		t.Errorf("a second page: %d", status)
	}
}
