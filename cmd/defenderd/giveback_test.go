package main

import (
	"testing"
	"time"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/seal"
)

// TestARequestThatMetAFreezeCanBeRepeatedAfterIt freezes the database in the middle of a request with an Idempotency-Key, and where
// it takes the key. Once the database is back the repetition succeeds, long before the time of the first one has passed.
func TestARequestThatMetAFreezeCanBeRepeatedAfterIt(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]string{"in the middle": "insert into api_key", "as the key is taken": "insert into idempotency"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keyring := seal.NewKey().Reveal()
			f := newFleet(t, keyring)
			line := postgrestest.NewLine(t, f.url, at)
			f.serve("DEFENDERD_KEYRING="+keyring, "DEFENDERD_DATABASE_URL="+line.URL())
			create := func() error {
				_, err := f.clients[0].CreateAPIKey(t.Context(), api.CreateAPIKeyRequest{Name: "once", Role: api.RoleReadonly}, api.IdempotencyKey("k"))
				return err
			}
			go func() { <-line.Held(); line.Freeze() }()
			if err := create(); !api.HasCode(err, api.CodeUnavailable) {
				t.Fatalf("while it is frozen: %v", err)
			}
			line.Mend()
			back, err := time.Now(), create()
			for api.HasCode(err, api.CodeIdempotencyInProgress) || api.HasCode(err, api.CodeUnavailable) {
				err = create()
			}
			if took := time.Since(back); err != nil || took > 5*time.Second {
				t.Errorf("%v after it is back: %v", took, err)
			}
			f.mustHold("keys", 1, `select count(*) from api_key where name = 'once'`)
			f.stop()
		})
	}
}
