package main

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/seal"
)

// TestALiveCheckDoesNotWaitForTheDatabase has the database stand still where the calls of a live check are counted: whoever asked for the
// check learns in time that it could not be made.
func TestALiveCheckDoesNotWaitForTheDatabase(t *testing.T) {
	t.Parallel()
	key := seal.NewKey().Reveal()
	environ, integration := connected(t, key)
	keyed := append(environ[:len(environ):len(environ)], "DEFENDERD_KEYRING="+key)
	admin := decode[keyView](t, must(t, keyed, "api-key", "create", "--tenant", onlyTenant(t, environ), "--name", "b", "--role", "admin", "-o", "json"))
	url, _ := (&program{environ: environ}).env("DEFENDERD_DATABASE_URL")
	line := postgrestest.NewLine(t, url, "upstream_take(")
	s := start(t, append(slices.Clone(keyed), "DEFENDERD_DATABASE_URL="+line.URL()), "--roles", "http")
	req, err := http.NewRequest(http.MethodPost, s.api+"/v1/integrations/"+integration+"/validate", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+admin.Key)
	client := http.Client{Timeout: time.Minute}
	began := time.Now()
	resp, err := client.Do(req)
	took := time.Since(began)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable || took > 5*time.Second {
		t.Errorf("%s after %v", resp.Status, took)
	}
	select {
	case <-line.Held():
	default:
		t.Error("the database did not stand still")
	}
}
