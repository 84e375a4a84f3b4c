package httpapi

import (
	"io"
	"net/http"
	"time"

	"pgp.internal/defender/internal/fault"
)

// How much of a body that is too long is still read, and for how long. A connection that is closed before is reset, and a client that
// sends all before it reads never sees the answer then.
const (
	drainMost   = 4 << 20
	drainWithin = 2 * time.Second
)

// drain reads on, within bounds, what is left of a body that was refused for its length, once the answer is on its way. Who waits for
// leave to send its body (Expect: 100-continue) sends nothing after a refusal.
func (s *server) drain(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := r.Body
		next.ServeHTTP(w, r)
		if exchangeOf(r.Context()).code != fault.CodeBodyTooLarge || r.Header.Get("Expect") != "" {
			return
		}
		control := http.NewResponseController(w)
		if control.Flush() != nil || control.SetReadDeadline(time.Now().Add(drainWithin)) != nil {
			return // nobody is there any more
		}
		_, _ = io.CopyN(io.Discard, body, drainMost) // whatever ends it: the answer is given
	})
}
