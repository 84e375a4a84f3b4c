package defendersim

import (
	"cmp"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// strike carries out the fault for a call, if there is one. It returns the writer the ordinary answer goes to and the base of
// forged links in it, or done when the call is over.
func (f *faults) strike(w http.ResponseWriter, r *http.Request, rt route, directoryID string, now func() time.Time) (out http.ResponseWriter, links string, done bool) {
	a := f.choose(r, rt, directoryID)
	if a == nil {
		return w, "", false
	}
	if !wait(r, time.Duration(a.Delay)) || (a.Hold && !f.hold(a, r)) {
		return w, "", true
	}
	if a.Hang {
		_, _ = io.Copy(io.Discard, r.Body) // net/http notices that the client has left only once the body was read
		<-r.Context().Done()
		return w, "", true
	}
	if a.Status != 0 {
		a.answer(w, now())
		return w, "", true
	}
	if a.ResetAfter > 0 || a.TruncateAfter > 0 || a.DripBytes > 0 {
		return &spoiledWriter{ResponseWriter: w, r: r, fault: a.Fault}, a.LinkBase, false
	}
	if a.Body == "garbage" {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = w.Write([]byte(`{"value":[{"id":}]`))
		return w, "", true
	}
	return w, a.LinkBase, false
}

// wait returns false when the client has left.
func wait(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

func (f *faults) hold(a *armed, r *http.Request) bool {
	f.mu.Lock()
	if a.Waiting++; a.Waiting == 1 {
		select {
		case <-a.reached:
		default:
			close(a.reached)
		}
	}
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		a.Waiting--
		f.mu.Unlock()
	}()
	select {
	case <-a.released:
		return true
	case <-r.Context().Done():
		return false
	}
}

// usualCodes are the error codes Microsoft documents for a status.
var usualCodes = map[int]string{
	400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 429: "TooManyRequests", 500: "InternalServerError",
}

func (f *Fault) answer(w http.ResponseWriter, now time.Time) {
	h := w.Header()
	if ahead, ok := strings.CutPrefix(f.RetryAfter, "date:"); ok {
		d, err := time.ParseDuration(ahead)
		if err != nil {
			d = 0
		}
		h.Set("Retry-After", now.Add(d).UTC().Format(http.TimeFormat))
	} else if f.RetryAfter != "" {
		h.Set("Retry-After", f.RetryAfter)
	}
	if f.Location != "" {
		h.Set("Location", f.Location)
	}
	for name, value := range f.Headers {
		h.Set(name, value)
	}
	body := []byte(nil)
	switch f.Body {
	case "xml":
		refuseBlob(w, f.Status, cmp.Or(f.Code, usualBlobCodes[f.Status]), "", now)
		return
	case "html": // of a gateway in front, which knows no request ids
		h.Del(requestIDHeader)
		h.Set("Content-Type", "text/html")
		body = []byte("<html><head><title>" + http.StatusText(f.Status) + "</title></head><body><center><h1>" + http.StatusText(f.Status) + "</h1></center></body></html>")
	case "empty":
	case "garbage":
		h.Set("Content-Type", "application/json; charset=utf-8")
		body = []byte(`{"value":[{"id":}]`)
	default:
		apiHeaders(h)
		code := f.Code
		if code == "" {
			code = usualCodes[f.Status]
		}
		body, _ = json.Marshal(map[string]any{"error": map[string]string{"code": code, "message": f.Message, "target": "|" + NewGUID() + "."}})
	}
	w.WriteHeader(f.Status)
	_, _ = w.Write(body) // a failed write means the client has gone
}

// spoiledWriter lets part of the ordinary answer through, or all of it slowly. It counts bytes after compression.
type spoiledWriter struct {
	http.ResponseWriter
	r     *http.Request
	fault Fault
	sent  int
	cut   bool
}

func (s *spoiledWriter) Write(p []byte) (int, error) {
	whole := len(p)
	if s.cut {
		return whole, nil
	}
	if most := max(s.fault.ResetAfter, s.fault.TruncateAfter); most > 0 {
		p = p[:min(len(p), max(0, most-s.sent))]
	}
	if err := s.send(p); err != nil {
		return 0, err
	}
	if s.fault.ResetAfter > 0 && s.sent >= s.fault.ResetAfter {
		s.reset()
	}
	return whole, nil // what is cut off counts as sent
}

func (s *spoiledWriter) send(p []byte) error {
	for len(p) > 0 {
		piece := p
		if s.fault.DripBytes > 0 {
			piece = p[:min(len(p), s.fault.DripBytes)]
		}
		n, err := s.ResponseWriter.Write(piece)
		s.sent += n
		if err != nil {
			return err
		}
		p = p[len(piece):]
		if s.fault.DripBytes > 0 {
			_ = http.NewResponseController(s.ResponseWriter).Flush() // not supported only by writers without a connection
			if !wait(s.r, time.Duration(s.fault.DripPause)) {
				return s.r.Context().Err()
			}
		}
	}
	return nil
}

// reset cuts the connection so that the client's kernel sees a TCP reset where possible. The compressor in front may
// still write on its way out; by then there is no connection any more.
func (s *spoiledWriter) reset() {
	if s.cut {
		panic(http.ErrAbortHandler)
	}
	s.cut = true
	c := http.NewResponseController(s.ResponseWriter)
	_ = c.Flush()
	if conn, _, err := c.Hijack(); err == nil {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
	}
	panic(http.ErrAbortHandler)
}
