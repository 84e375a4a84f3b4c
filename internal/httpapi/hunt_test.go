package httpapi_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgp.internal/defender/internal/pgserver"
	"pgp.internal/defender/internal/seal"
)

// needles are the shapes in which a secret, or any eight characters of it, could be hiding.
func needles(secret string) map[string]string {
	n := map[string]string{}
	for at := 0; at+8 <= len(secret); at++ {
		piece, where := secret[at:at+8], fmt.Sprintf(" from character %d", at)
		n["raw"+where] = piece
		n["hex"+where], n["HEX"+where] = hex.EncodeToString([]byte(piece)), strings.ToUpper(hex.EncodeToString([]byte(piece)))
		n["URL-escaped"+where] = url.QueryEscape(piece)
		n["JSON-escaped"+where] = strings.Trim(strconv.Quote(piece), `"`)
		n["numbers"+where] = strings.Trim(fmt.Sprint([]byte(piece)), "[]")
	}
	// In base64 a piece looks one of three ways, as to where it begins among its neighbours; what depends on those is cut off.
	for skip := range 3 {
		for kind, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
			text := encoding.EncodeToString(append(make([]byte, skip), secret...))
			text = text[4 : len(text)-2]
			for at := 0; at+11 <= len(text); at++ {
				n[fmt.Sprintf("%s, shifted by %d, from %d", kind, skip, at)] = text[at : at+11]
			}
		}
	}
	return n
}

// spotted gives the shape of one of the needles that is in the text. It looks each place of the text up among the beginnings
// of all needles, which are many.
func spotted(text string, needles map[string]string) string {
	const beginning = 8
	shapes := map[string][]string{}
	for shape, needle := range needles {
		shapes[needle[:beginning]] = append(shapes[needle[:beginning]], shape)
	}
	for at := 0; at+beginning <= len(text); at++ {
		for _, shape := range shapes[text[at:at+beginning]] {
			if strings.HasPrefix(text[at:], needles[shape]) {
				return shape
			}
		}
	}
	return ""
}

// mustHideFrom searches the places for every shape of the secrets.
func mustHideFrom(t *testing.T, places, secrets map[string]string) {
	t.Helper()
	for what, secret := range secrets {
		if len(secret) < 16 {
			t.Errorf("%s: %d characters are too few to search for", what, len(secret))
		}
		for place, text := range places {
			if shape := spotted(text, needles(secret)); shape != "" {
				t.Errorf("%s: found %s, %s", place, what, shape)
			}
		}
	}
}

// TestNeedlesFindEveryShape hides pieces of a secret as a careless line of code would.
func TestNeedlesFindEveryShape(t *testing.T) {
	t.Parallel()
	const canary = `cnR8Q~hq7Zb1m"&T9sK2wE6uD3yJ+/`
	piece := canary[7:22]
	quoted, err := json.Marshal(canary)
	must(t, err)
	for name, text := range map[string]string{
		"raw": "x" + piece, "hex": fmt.Sprintf("%x", piece), "HEX": fmt.Sprintf("%X", piece), "URL": url.QueryEscape(piece), "JSON": string(quoted),
		"Go": fmt.Sprintf("%q", piece), "bytes": fmt.Sprint([]byte(piece)), "base64": base64.StdEncoding.EncodeToString([]byte("a" + canary)),
		"base64 behind something": base64.StdEncoding.EncodeToString([]byte("Authorization: " + canary)), "base64url": base64.URLEncoding.EncodeToString([]byte("ab" + canary)),
	} {
		if spotted(text, needles(canary)) == "" {
			t.Errorf("%s: not found in %q", name, text)
		}
	}
	if shape := spotted("nothing of it: "+canary[:7]+" "+canary[7:14], needles(canary)); shape != "" {
		t.Errorf("found %s where it is not", shape)
	}
}

// witness keeps the tokens that the simulator issues.
func (m *microsoft) witness(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, "/token") {
		m.sim.Handler().ServeHTTP(w, r)
		return
	}
	answer := httptest.NewRecorder()
	m.sim.Handler().ServeHTTP(answer, r)
	var body struct {
		Token string `json:"access_token"`
	}
	if json.Unmarshal(answer.Body.Bytes(), &body) == nil && body.Token != "" {
		m.mu.Lock()
		m.issued = append(m.issued, body.Token)
		m.mu.Unlock()
	}
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes()) // whoever does not read it has gone away
}

func (m *microsoft) tokens() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.issued)
}

// dataKey unwraps what seals the first tenant's secrets.
func (m *microsoft) dataKey(t *testing.T) string {
	t.Helper()
	stored, found, err := m.store.DataKey(t.Context(), m.mine.id, 0)
	must(t, err)
	ring, err := seal.ParseRing(m.key.Reveal())
	must(t, err)
	clear, err := ring.Open(stored.Wrapped, fmt.Sprintf("tenant/%d/data_key/%d", m.mine.id, stored.Number))
	if err != nil || !found {
		t.Fatal(found, err)
	}
	return clear.Reveal()
}

// backup is what pg_dump makes of the database.
func (m *microsoft) backup(t *testing.T) string {
	t.Helper()
	dir, err := pgserver.Find(t.Context())
	must(t, err)
	dump, err := exec.CommandContext(t.Context(), filepath.Join(dir, "pg_dump"), m.dsn).Output()
	must(t, err)
	return string(dump)
}

// metrics is what a scrape tells.
func (m *microsoft) metrics(t *testing.T) string {
	t.Helper()
	rec := httptest.NewRecorder()
	operatorOf(t, m.store, m.house).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return rec.Body.String()
}
