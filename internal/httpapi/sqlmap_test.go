//go:build soak

package httpapi_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"pgp.internal/defender/internal/httpapi"
	"pgp.internal/defender/internal/tenant"
)

// TestSQLMapFindsNoInjection has sqlmap put SQL into every id, every value of a query and the usual headers of the operations that
// read, and into the members of a body of those that change settings. ATTACK_OPERATION does a single one.
func TestSQLMapFindsNoInjection(t *testing.T) {
	f, only := newFort(t), plannedSiege(t).only
	f.restock(t)
	platform := f.mint.token(tenant.Platform)
	places := 0
	for _, x := range targets(t) {
		if (x.method != http.MethodGet && x.method != http.MethodPatch) || only != "" && only != x.id {
			continue
		}
		key := f.mine.keys[tenant.Admin]
		if x.role == tenant.Platform {
			key = platform
		}
		p := f.probe(x, key)
		found, tested := p.run(t)
		places += tested
		t.Logf("%s: %d places", x.id, tested)
		if found != "" {
			t.Errorf("%s: %s", x.id, found)
		}
	}
	t.Logf("%d places", places)
}

// TestSQLMapFindsNoInjectionByCredentials does the same with an API key.
func TestSQLMapFindsNoInjectionByCredentials(t *testing.T) {
	h := newHouse(t)
	plain := httptest.NewServer(httpapi.New(h.deps)) // whoever looks for secrets would take what is sent here for keys
	t.Cleanup(plain.Close)
	p := sqlProbe{method: http.MethodGet, url: plain.URL + "/v1/integrations", headers: []string{"Authorization: Bearer " + h.mine.keys[tenant.Admin] + "*"}}
	if found, _ := p.run(t); found != "" {
		t.Error(found)
	}
}

// TestSQLMapFindsAnInjection shows that sqlmap, as it is called here, finds one where there is one.
func TestSQLMapFindsAnInjection(t *testing.T) {
	h := newHouse(t)
	db, err := sql.Open("postgres", h.dsn)
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	open := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var name string
		if db.QueryRowContext(r.Context(), `select relname from pg_class where relname = '`+r.URL.Query().Get("name")+`'`).Scan(&name) != nil {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = fmt.Fprintf(w, "{%q: %q}", "name", name)
	}))
	t.Cleanup(open.Close)
	if found, _ := (sqlProbe{method: http.MethodGet, url: open.URL + "/?name=pg_class*"}).run(t); found == "" {
		t.Error("nothing was found")
	}
}

// sqlProbe is a request with a mark behind everything that is tested.
type sqlProbe struct {
	method, url string
	headers     []string
	body        string
}

// probe marks the ids in the path, each value of the query, the members of a body and the headers that every operation takes.
func (f *fort) probe(x *target, key string) sqlProbe {
	r := &draft{dice: dice{rand.New(rand.NewPCG(1, 1))}, arsenal: f.arsenal, target: x, header: http.Header{}}
	path, _ := x.at(f.arsenal.own)
	for _, p := range x.in(openapi3.ParameterInPath) {
		prefix, _, _ := strings.Cut(x.path, "{"+p.Name+"}")
		id, rest, more := strings.Cut(strings.TrimPrefix(path, prefix), "/")
		if path = prefix + id + "*"; more {
			path += "/" + rest
		}
	}
	var query []string
	for _, p := range x.in(openapi3.ParameterInQuery) {
		query = append(query, r.queryValues(p)[0]+"*")
	}
	out := sqlProbe{method: x.method, url: f.url + path, headers: []string{"Authorization: Bearer " + key, "X-Request-Id: a-1*", "User-Agent: probe*"}}
	if len(query) > 0 {
		out.url += "?" + strings.Join(query, "&")
	}
	if x.body != nil {
		out.headers = append(out.headers, "Content-Type: "+x.mediaTypes[0])
		out.body = regexp.MustCompile(`"([^":{}]+)"([,}\]])`).ReplaceAllString(bodies[x.id], `"$1*"$2`)
	}
	return out
}

var (
	injectable = regexp.MustCompile(`(?m)^.*(?:is vulnerable|appears to be '.*' injectable|identified the following injection point).*$`)
	unharmed   = regexp.MustCompile(`(?:parameter|header) '[^']*' does not seem to be injectable`)
)

// run gives what sqlmap found, nothing for no injection, and how many places it tested. A sqlmap that could not test fails the test.
func (p sqlProbe) run(t *testing.T) (found string, tested int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	args := []string{
		"-u", p.url, "--method", p.method, "--batch", "--disable-coloring", "--level", "3", "--dbms", "PostgreSQL", "--flush-session",
		"--ignore-code", "401", "--threads", "2", "--output-dir", t.TempDir(),
	}
	for _, h := range p.headers {
		args = append(args, "-H", h)
	}
	if p.body != "" {
		args = append(args, "--data", p.body)
	}
	out, err := exec.CommandContext(ctx, "sqlmap", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("sqlmap: %v: %s", err, out)
	}
	if line := injectable.Find(out); line != nil {
		return string(line), 0
	}
	if tested = len(unharmed.FindAll(out, -1)); tested == 0 {
		t.Fatalf("nothing was tested: %s", tail(out))
	}
	return "", tested
}

// tail is the end of an output.
func tail(out []byte) (text string) {
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		text = text[max(0, len(text)-2000):] + lines.Text() + "\n"
	}
	return text
}
