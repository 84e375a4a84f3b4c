package secrethunt

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
)

// entered are the members of a body that hold secrets. Bodies need not be sound to be learned from.
var entered = regexp.MustCompile(`"(client_secret|certificate)"\s*:\s*("(?:[^"\\]|\\.)*")`)

// shownOnce is the member that a new API key is told in.
var shownOnce = regexp.MustCompile(`"secret"\s*:\s*"([^"\\]+)"`)

// mostOfABody is more than the service reads of one.
const mostOfABody = 256 << 10

// Handler learns the secrets of each request and searches its whole answer: all headers and the body, unpacked. The answer that
// makes an API key, and its repetition, may show that key once, as its member "secret".
func (h *Hunt) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		heard := &overheard{ResponseWriter: w}
		body := &hearing{ReadCloser: r.Body}
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = body
		}
		makesKey := r.Method == http.MethodPost && strings.HasSuffix(strings.TrimSuffix(r.URL.Path, "/"), "/api-keys")
		place, bearer := r.Method+" "+r.URL.Path, r.Header.Get("Authorization")
		defer func() { // also when the handler breaks the answer off by a panic
			h.learnRequest(bearer, body.text())
			h.searchAnswer(place, heard, makesKey)
		}()
		next.ServeHTTP(heard, r)
	})
}

func (h *Hunt) learnRequest(authorization, body string) {
	if _, token, ok := strings.Cut(authorization, " "); ok {
		h.Bearer(token)
	}
	for _, m := range entered.FindAllStringSubmatch(body, -1) {
		var text string
		if json.Unmarshal([]byte(m[2]), &text) != nil {
			continue
		}
		if m[1] == "certificate" {
			h.Certificate(text)
		} else {
			h.ClientSecret(text)
		}
	}
}

func (h *Hunt) searchAnswer(place string, heard *overheard, makesKey bool) {
	header, body := heard.answer()
	if m := shownOnce.FindStringSubmatchIndex(body); makesKey && heard.status == http.StatusCreated && m != nil {
		h.Bearer(body[m[2]:m[3]])
		body = body[:m[2]] + body[m[3]:]
	}
	h.Search(place+", headers of the answer", header)
	h.Search(place+", body of the answer", body)
}

// hearing keeps what the service reads of a body.
type hearing struct {
	io.ReadCloser
	mu   sync.Mutex // a body can still be read when its handler is done
	read bytes.Buffer
}

func (b *hearing) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read.Write(p[:min(n, mostOfABody-b.read.Len())])
	return n, err
}

func (b *hearing) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.read.String()
}

// overheard keeps what the service answers.
type overheard struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (o *overheard) WriteHeader(status int) {
	if o.status == 0 && status >= http.StatusOK {
		o.status = status
	}
	o.ResponseWriter.WriteHeader(status)
}

func (o *overheard) Write(p []byte) (int, error) {
	if o.status == 0 {
		o.status = http.StatusOK
	}
	o.body.Write(p)
	return o.ResponseWriter.Write(p)
}

// Unwrap lets the service flush the answer and set its deadlines.
func (o *overheard) Unwrap() http.ResponseWriter { return o.ResponseWriter }

// Flush is for those who do not ask by Unwrap.
func (o *overheard) Flush() { _ = http.NewResponseController(o.ResponseWriter).Flush() }

// answer is what was sent, as text.
func (o *overheard) answer() (header, body string) {
	var lines strings.Builder
	_ = o.Header().Write(&lines) // a builder takes everything
	if o.Header().Get("Content-Encoding") != "gzip" {
		return lines.String(), o.body.String()
	}
	unpacked := new(bytes.Buffer)
	if z, err := gzip.NewReader(&o.body); err == nil {
		_, _ = io.CopyN(unpacked, z, 1<<30) // of an answer that was broken off, what there is; none of the service comes near the limit
	}
	return lines.String(), unpacked.String()
}

// issued is the member of an answer of Microsoft that holds an access token.
var issued = regexp.MustCompile(`"access_token"\s*:\s*"([^"\\]+)"`)

// Issuer learns what passes a simulated Microsoft: the client secrets that it is given and the access tokens that it issues.
func (h *Hunt) Issuer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/token") {
			next.ServeHTTP(w, r)
			return
		}
		told, body := &overheard{ResponseWriter: w}, &hearing{ReadCloser: r.Body}
		r.Body = body
		defer func() {
			if form, err := url.ParseQuery(body.text()); err == nil {
				h.ClientSecret(form.Get("client_secret"))
			}
			_, answer := told.answer()
			if m := issued.FindStringSubmatch(answer); m != nil {
				h.Bearer(m[1])
			}
		}()
		next.ServeHTTP(told, r)
	})
}
