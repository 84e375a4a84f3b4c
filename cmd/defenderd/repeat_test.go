package main

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/seal"
)

// TestARequestSurvivesTheProcess kills the service with SIGKILL while it connects a directory: once before what it does is
// committed, and once between that and the answer. Repeated with the same key, the request has one outcome.
func TestARequestSurvivesTheProcess(t *testing.T) {
	t.Parallel()
	line := seal.NewKey().Reveal()
	f, keyring := newFleet(t, line), "DEFENDERD_KEYRING="+line
	connect := func(n int) (*api.Integration, error) {
		return f.clients[0].ConnectIntegration(t.Context(), api.ConnectRequest{Type: api.TypeMicrosoftDefender, Credentials: api.CredentialsInput{
			TenantID: directoryOf(n), ClientID: resealClient, ClientSecret: resealSecret,
		}}, api.IdempotencyKey(directoryOf(n)))
	}
	for n, moment := range []struct{ table, event string }{{"integration", "insert"}, {"idempotency", "update of answer"}} {
		f.serve(keyring)
		execute(t, f.owner, `create or replace function linger() returns trigger language plpgsql as $$ begin perform pg_sleep(2.5); return new; end $$`)
		execute(t, f.owner, `create trigger linger before `+moment.event+` on `+moment.table+` for each row execute function linger()`)
		ended := make(chan error, 1)
		go func() { _, err := connect(n); ended <- err }()
		f.await(`select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'`)
		if err := f.process.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = f.process.Wait()
		if err := <-ended; err == nil {
			t.Errorf("%s: the killed process answered", moment.table)
		}
		execute(t, f.owner, `drop trigger linger on `+moment.table)
		f.serve(keyring)
		if committed := moment.table == "idempotency"; !committed {
			if _, err := connect(n); !api.HasCode(err, api.CodeIdempotencyInProgress) {
				t.Errorf("while the dead attempt has its time: %v", err)
			}
			execute(t, f.owner, `update idempotency set held_until = now()`)
		}
		first, err := connect(n)
		if err != nil {
			t.Fatalf("%s: %v", moment.table, err)
		}
		if again, err := connect(n); err != nil || again.ID != first.ID {
			t.Errorf("%s: %+v, %v, first %s", moment.table, again, err, first.ID)
		}
		f.mustHold("integrations with their first runs", n+1, `select count(*) from integration i join run r on r.integration_id = i.id`)
		f.stop()
	}
}

// await looks until something is there.
func (f *fleet) await(query string) {
	f.t.Helper()
	look, deadline := time.NewTicker(10*time.Millisecond), time.Now().Add(patience)
	defer look.Stop()
	for f.count(query) == 0 {
		if time.Now().After(deadline) {
			f.t.Fatalf("did not come: %s", query)
		}
		<-look.C
	}
}

// TestLimitsAreThoseOfTheSettings asks the service as a process, with the defaults and with settings of its own.
func TestLimitsAreThoseOfTheSettings(t *testing.T) {
	t.Parallel()
	s := start(t, environment(t))
	get := func(base, forwarded string) http.Header {
		r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, base+"/v1/version", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Forwarded-For", forwarded)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.Header
	}
	if h := get(s.api, "203.0.113.1"); h.Get("RateLimit-Policy") != `"address";q=100;w=10` || !strings.HasPrefix(h.Get("RateLimit"), `"address";r=99;`) {
		t.Errorf("by default: %v", h)
	}
	line := seal.NewKey().Reveal()
	f := newFleet(t, line)
	f.serve("DEFENDERD_KEYRING="+line, "DEFENDERD_RATE_ADDRESS=12", "DEFENDERD_RATE_TENANT=60000", "DEFENDERD_VALIDATION_RATE=1", "DEFENDERD_TRUSTED_PROXIES=127.0.0.0/8")
	for range 2 { // of each client the first of two
		if h := get(f.api, "203.0.113.1"); !strings.HasPrefix(h.Get("RateLimit"), `"address";r=`) || h.Get("RateLimit-Policy") != `"address";q=2;w=10` {
			t.Errorf("as set: %v", h)
		}
	}
	if h := get(f.api, "203.0.113.2"); !strings.HasPrefix(h.Get("RateLimit"), `"address";r=1;`) {
		t.Errorf("another client of the proxy: %v", h)
	}
	preview := func() error {
		_, err := f.clients[0].PreviewIntegration(t.Context(), api.ConnectRequest{Type: api.TypeMicrosoftDefender, Credentials: api.CredentialsInput{
			TenantID: directoryOf(0), ClientID: resealClient, ClientSecret: resealSecret,
		}})
		return err
	}
	if err := preview(); err != nil {
		t.Error(err)
	}
	if err := preview(); !api.HasCode(err, api.CodeRateLimited) {
		t.Errorf("a second check within a minute: %v", err)
	}
	f.stop()
}
