package server

import (
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// TestKeepAlive: a stream with nothing to say for a while says that it is alive,
// and not after its end.
func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := httptest.NewRecorder()
		w := newResponse(out)
		stop := w.keepAlive()
		time.Sleep(2*keepAliveTime + time.Second)
		if err := w.event(1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(keepAliveTime - time.Second)
		if err := w.event(2); err != nil {
			t.Fatal(err)
		}
		time.Sleep(keepAliveTime + time.Second)
		stop()
		if err := w.done(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		const want = ": keepalive\n\n: keepalive\n\ndata: 1\n\ndata: 2\n\n: keepalive\n\ndata: [DONE]\n\n"
		if got := out.Body.String(); got != want || out.Header().Get("Content-Type") != "text/event-stream" {
			t.Errorf("%q, %v", got, out.Header())
		}
	})
}
