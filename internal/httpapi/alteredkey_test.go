package httpapi_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/tenant"
)

// TestAKeyChangedInTheDatabaseLetsNobodyIn is somebody who can write the database, and has no keyring: they raise a key's role, lengthen
// its life, rename it, give it to another tenant, take a revocation back, or plant one of their own.
func TestAKeyChangedInTheDatabaseLetsNobodyIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var want []string
	for i, change := range []string{
		"role = 'admin'",
		"expires_at = expires_at + interval '1 microsecond'",
		"public_id = gen_random_uuid()",
		"box = set_byte(box, length(box) - 1, get_byte(box, length(box) - 1) # 1)",
		"box = ''",
		"box = (select box from api_key where name = 'admin' and tenant_id = " + number(h.mine.id) + ")",
		"name = 'renamed'",
		"tenant_id = " + number(h.other.id),
	} {
		name := fmt.Sprintf("changed %d", i)
		text := h.key(h.mine.id, tenant.APIKey{Name: name, Role: tenant.ReadOnly, ExpiresAt: time.Now().Add(time.Hour)})
		if got := h.asks(text, ""); got.status != http.StatusOK {
			t.Fatalf("before: %d %s", got.status, got.body)
		}
		h.exec("update api_key set " + change + " where name = '" + name + "'")
		if got := h.asks(text, ""); got.status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", change, got.status, got.body)
		}
		switch {
		case strings.HasPrefix(change, "tenant_id"): // that is the other's then
		case strings.HasPrefix(change, "name"):
			want = append(want, "renamed key_altered 1")
		default:
			want = append(want, name+" key_altered 1")
		}
	}
	if got := h.refusals(); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	revoked, err := h.admin().CreateAPIKey(t.Context(), api.CreateAPIKeyRequest{Name: "revoked", Role: api.RoleAdmin})
	must(t, err)
	must(t, h.admin().DeleteAPIKey(t.Context(), revoked.ID))
	h.exec("update api_key set revoked_at = null where name = 'revoked'")
	if got := h.asks(revoked.Secret.Reveal(), ""); got.status != http.StatusUnauthorized {
		t.Errorf("with its revocation taken back: %d %s", got.status, got.body)
	}
	planted := tenant.NewKey().Reveal()
	plain := sha256.Sum256([]byte(planted))
	h.exec(`insert into api_key select tenant_id, gen_random_uuid(), 'planted', 'admin', '\x` + hex.EncodeToString(plain[:]) + `', box, hint, expires_at, null, null, now()
		from api_key where name = 'admin' and tenant_id = ` + number(h.mine.id))
	if got := h.asks(planted, ""); got.status != http.StatusUnauthorized {
		t.Errorf("planted: %d %s", got.status, got.body)
	}
}

// TestAnAPIKeyWithAnOddTimeHidesNoOther writes times that no program writes: the table refuses them, and where it did not, the key that
// was made to last for ever is refused and its tenant's list is read all the same.
func TestAnAPIKeyWithAnOddTimeHidesNoOther(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	text := h.key(h.mine.id, tenant.APIKey{Name: "odd", Role: tenant.ReadOnly, ExpiresAt: time.Now().Add(time.Hour)})
	h.exec("alter table api_key add column made_for timestamptz; update api_key set made_for = expires_at")
	odd := []string{"infinity", "-infinity", "20000-01-01 00:00:00+00", "0044-03-15 00:00:00+00 BC"}
	var changes []string // the first one makes it last for ever, and is what is noted of its refusals, once a minute
	for _, column := range []string{"expires_at", "last_used_at", "created_at"} {
		for _, at := range odd {
			changes = append(changes, fmt.Sprintf("update api_key set %s = '%s' where name = 'odd'", column, at))
		}
	}
	for _, change := range changes {
		if _, err := h.owner.Exec(change); err == nil || !strings.Contains(err.Error(), "api_key_times_check") {
			t.Errorf("%s: %v", change, err)
		}
	}
	h.exec("alter table api_key drop constraint api_key_times_check")
	for _, change := range changes {
		status := http.StatusOK // of the key itself
		if strings.Contains(change, "expires_at") {
			status = http.StatusUnauthorized
		}
		h.exec("update api_key set last_used_at = null, created_at = now(), expires_at = made_for; " + change)
		list := h.send(raw{method: http.MethodGet, path: "/v1/api-keys", key: h.mine.keys[tenant.Admin], client: h.checked()})
		if list.status != http.StatusOK || strings.Count(list.body, `"role"`) != 4 {
			t.Errorf("%s: %d %s", change, list.status, list.body)
		}
		if got := h.asks(text, ""); got.status != status {
			t.Errorf("%s: %d %s", change, got.status, got.body)
		}
	}
	if got := h.refusals(); !slices.Contains(got, "odd key_altered 1") {
		t.Errorf("%v", got)
	}
}
