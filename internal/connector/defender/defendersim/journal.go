package defendersim

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

// Entry is one request the simulator received. Secrets and tokens are never recorded.
type Entry struct {
	Time      time.Time `json:"time"`
	Method    string    `json:"method"`
	Host      string    `json:"host"`
	Path      string    `json:"path"`
	Query     string    `json:"query,omitempty"`
	Route     string    `json:"route"`
	Directory string    `json:"directory,omitempty"`
	RequestID string    `json:"client_request_id,omitempty"` // the id that the client gave the request
	Bearer    bool      `json:"bearer"`                      // it carried a bearer token, good or bad
	Status    int       `json:"status"`                      // 0 while the request runs, or when the connection was cut before an answer
	Bytes     int64     `json:"bytes"`
}

// journalSize bounds the memory; the oldest entries go first.
const journalSize = 10000

type journal struct {
	mu      sync.Mutex
	entries []*Entry
}

func (j *journal) begin(r *http.Request, rt route, directoryID string, now time.Time) *Entry {
	e := &Entry{Time: now, Method: r.Method, Host: r.Host, Bearer: bearer(r) != "", Path: r.URL.Path, Query: redact(r.URL.RawQuery), Route: rt.name, Directory: directoryID, RequestID: clientRequestID(r, rt)}
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.entries) >= journalSize {
		j.entries = append(j.entries[:0:0], j.entries[journalSize/2:]...)
	}
	j.entries = append(j.entries, e)
	return e
}

// redact guards against clients that put a secret into the query by mistake.
func redact(query string) string {
	low := strings.ToLower(query)
	low = strings.ReplaceAll(low, "skiptoken=", "") // a place in a list, not a credential
	for _, word := range []string{"secret", "token=", "assertion", "password", "sig="} {
		if strings.Contains(low, word) {
			return "(redacted)"
		}
	}
	return query
}

func (j *journal) end(e *Entry, rec *recorder) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e.Status, e.Bytes = rec.status, rec.bytes
}

// last returns the newest entries, oldest of them first; a limit below 1 means all.
func (j *journal) last(limit int) []Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	from := 0
	if limit > 0 && len(j.entries) > limit {
		from = len(j.entries) - limit
	}
	out := make([]Entry, 0, len(j.entries)-from)
	for _, e := range j.entries[from:] {
		out = append(out, *e)
	}
	return out
}

func (j *journal) clear() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = nil
}

// Journal returns the newest requests, oldest of them first; a limit below 1 means all that are kept.
func (s *Simulator) Journal(limit int) []Entry { return s.journal.last(limit) }

// ClearJournal forgets all requests.
func (s *Simulator) ClearJournal() { s.journal.clear() }

// recorder notes what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
