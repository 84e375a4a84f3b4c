package httpapi_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgp.internal/defender/internal/pgserver"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/secrethunt"
)

// mustHideFrom searches the places for every shape of the secrets.
func mustHideFrom(t *testing.T, places, secrets map[string]string) {
	t.Helper()
	hunt := secrethunt.New()
	for what, secret := range secrets {
		if len(secret) < 16 {
			t.Errorf("%s: %d characters are too few to search for", what, len(secret))
		}
		hunt.Secret(what, secret)
	}
	for place, text := range places {
		hunt.Search(place, text)
	}
	hunt.Report(t)
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
		m.hunt.Bearer(body.Token)
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
