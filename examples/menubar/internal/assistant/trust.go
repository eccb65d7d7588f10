package assistant

import (
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// ticketTime is how long the address of the page is good for.
	ticketTime = 10 * time.Minute
	// The newest so many tickets and sessions hold, so that neither grows for ever.
	maxTickets  = 16
	maxSessions = 32
)

// trust knows who may use the page. It keeps digests, whose comparison tells nobody
// how near a guess was.
type trust struct {
	mu       sync.Mutex
	tickets  []issued
	sessions [][sha256.Size]byte
}

type issued struct {
	digest [sha256.Size]byte
	until  time.Time
}

// newTicket is good for one session.
func (t *trust) newTicket(now time.Time) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	ticket := rand.Text()
	t.tickets = newest(append(t.tickets, issued{sha256.Sum256([]byte(ticket)), now.Add(ticketTime)}), maxTickets)
	return ticket
}

// exchange takes a ticket, and gives the token of a session for it.
func (t *trust) exchange(ticket string, now time.Time) (token string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	digest := sha256.Sum256([]byte(ticket))
	for i, it := range t.tickets {
		if it.digest != digest {
			continue
		}
		t.tickets = append(t.tickets[:i], t.tickets[i+1:]...)
		if now.After(it.until) {
			return "", false
		}
		token = rand.Text()
		t.sessions = newest(append(t.sessions, sha256.Sum256([]byte(token))), maxSessions)
		return token, true
	}
	return "", false
}

func newest[T any](list []T, n int) []T { return list[max(0, len(list)-n):] }

// authorized reports whether a request has the token of a session.
func (t *trust) authorized(r *http.Request) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	digest := sha256.Sum256([]byte(token))
	for _, s := range t.sessions {
		if s == digest {
			return true
		}
	}
	return false
}

// local reports whether a request was sent to this address (and not to a name that
// was rebound to it) and not by a page of another origin.
func local(r *http.Request, host string) bool {
	origin, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
	return r.Host == host && (origin == "" || origin == "http://"+host) &&
		(site == "" || site == "same-origin" || site == "none")
}
