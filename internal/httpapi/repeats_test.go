package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/tenant"
)

// creating is a request that creates something, and how to count what it creates.
type creating struct {
	raw
	count string
}

// keyed is the request with an Idempotency-Key, held against the contract.
func (h *house) keyed(r raw, key string) raw {
	r.client, r.header = h.checked(), map[string]string{"Content-Type": "application/json", "Idempotency-Key": key}
	return r
}

// creations are the operations that know an Idempotency-Key; another body of the same length is got by changing a to b.
func (h *house) creations(platform string) map[string]creating {
	h.t.Helper()
	i := h.connect(h.mine)
	must(h.t, second(h.admin().CancelRun(h.t.Context(), i.LastRun.ID)))
	admin := h.mine.keys[tenant.Admin]
	connect := fmt.Sprintf(`{"type":"microsoft-defender","name":"aaa","credentials":{"client_id":%q,"client_secret":%q,"tenant_id":%q}}`, uuid.New(), canary, uuid.New())
	return map[string]creating{
		"connectIntegration": {raw{method: http.MethodPost, path: "/v1/integrations", key: admin, body: connect}, `select count(*) from integration`},
		"startRun":           {raw{method: http.MethodPost, path: "/v1/integrations/" + i.ID + "/runs", key: admin, body: `{"mode":"full","dry_run":false}`}, `select count(*) from run where trigger = 'manual'`},
		"createAPIKey":       {raw{method: http.MethodPost, path: "/v1/api-keys", key: admin, body: `{"name":"aaa","role":"readonly"}`}, `select count(*) from api_key`},
		"createTenant":       {raw{method: http.MethodPost, path: "/v1/tenants", key: platform, body: `{"name":"aaa","pgp_account":"aaa@contoso.example"}`}, `select count(*) from tenant`},
	}
}

func (h *house) number(query string) (n int) {
	h.t.Helper()
	must(h.t, h.owner.QueryRow(query).Scan(&n))
	return n
}

// TestRepeatedRequestsAreAnsweredAlike also repeats after a restart, with another form of the body, and when what was created has
// changed since.
func TestRepeatedRequestsAreAnsweredAlike(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	h := newHouse(t, m.into)
	for id, c := range h.creations(m.token(tenant.Platform)) {
		before := h.number(c.count)
		r := h.keyed(c.raw, "key of "+id)
		if got := h.send(r); got.status != http.StatusBadRequest || got.problem(t).Errors[0].Parameter != "Idempotency-Key" {
			t.Errorf("%s with a key that is none: %d %s", id, got.status, got.body)
		}
		r.header["Idempotency-Key"] = id
		first := h.send(r)
		if first.status/100 != 2 || first.header.Get("Idempotent-Replayed") != "" || first.header.Get("Location") == "" {
			t.Errorf("%s: %d %v %s", id, first.status, first.header, first.body)
			continue
		}
		h.exec(`update integration set name = 'changed'; update run set state = 'cancelled', finished_at = now() where state = 'queued'; update tenant set name = 'changed'`)
		restarted := r
		restarted.base = h.serve(h.deps)
		spaced := r
		spaced.body = strings.ReplaceAll(r.body, ",", " ,\n ")
		for name, again := range map[string]raw{"again": r, "after a restart": restarted, "in another form": spaced} {
			got := h.send(again)
			if got.status != first.status || got.body != first.body || got.header.Get("Idempotent-Replayed") != "true" {
				t.Errorf("%s %s: %d %v %s, first %d %s", id, name, got.status, got.header, got.body, first.status, first.body)
			}
			for _, header := range []string{"Location", "ETag", "Content-Type", "Retry-After"} {
				if got.header.Get(header) != first.header.Get(header) {
					t.Errorf("%s %s: %s is %q, first %q", id, name, header, got.header.Get(header), first.header.Get(header))
				}
			}
		}
		other := r
		other.body = strings.NewReplacer("aaa", "bbb", "full", "incremental").Replace(r.body)
		if got := h.send(other); got.status != http.StatusUnprocessableEntity || got.problem(t).Code != api.CodeIdempotencyKeyReused {
			t.Errorf("%s with another body: %d %s", id, got.status, got.body)
		}
		if made := h.number(c.count) - before; made != 1 {
			t.Errorf("%s made %d objects", id, made)
		}
	}
}

// TestKeysAreOfOneCredential lets two tenants, and two keys of one, use the same Idempotency-Key.
func TestKeysAreOfOneCredential(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	another, err := h.admin().CreateAPIKey(t.Context(), api.CreateAPIKeyRequest{Name: "another", Role: api.RoleAdmin})
	must(t, err)
	bodies := map[string]bool{}
	for _, key := range []string{h.mine.keys[tenant.Admin], h.other.keys[tenant.Admin], another.Secret.Reveal()} {
		got := h.send(h.keyed(raw{method: http.MethodPost, path: "/v1/api-keys", key: key, body: `{"name":"x","role":"readonly"}`}, "1"))
		if got.status != http.StatusCreated || bodies[got.body] {
			t.Errorf("%d %s", got.status, got.body)
		}
		bodies[got.body] = true
	}
	stranger := h.keyed(raw{method: http.MethodPost, path: "/v1/api-keys", key: h.mine.keys[tenant.ReadOnly], body: `{"name":"x","role":"readonly"}`}, "1")
	if got := h.send(stranger); got.status != http.StatusForbidden {
		t.Errorf("a role that does not reach: %d", got.status)
	}
}

func TestParallelRepeatsMakeOneObject(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	r := h.keyed(raw{method: http.MethodPost, path: "/v1/api-keys", key: h.mine.keys[tenant.Admin], body: `{"name":"once","role":"readonly"}`}, "parallel")
	var mu sync.Mutex
	seen := map[string]int{}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			got := h.send(r)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case got.status == http.StatusCreated:
				seen[got.body]++
			case got.status == http.StatusServiceUnavailable && got.header.Get("Retry-After") != "": // so many at once may use up the pool
			case got.status != http.StatusConflict || got.problem(t).Code != api.CodeIdempotencyInProgress || got.header.Get("Retry-After") == "":
				t.Errorf("%d %v %s", got.status, got.header, got.body)
			}
		})
	}
	all.Wait()
	if got := h.send(r); len(seen) != 1 || seen[got.body] == 0 {
		t.Errorf("%d different answers, the last one %d %s", len(seen), got.status, got.body)
	}
	if n := h.number(`select count(*) from api_key where name = 'once'`); n != 1 {
		t.Errorf("%d keys", n)
	}
}

func TestARefusalIsNotRemembered(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	r := h.keyed(raw{method: http.MethodPost, path: "/v1/integrations", key: h.mine.keys[tenant.Admin], body: bodies["connectIntegration"]}, "refused")
	for _, code := range []string{fault.CodeCredentialsInvalid, fault.CodeUpstreamUnavailable} {
		h.cloud.fails(code)
		if got := h.send(r); got.status < 400 || got.header.Get("Idempotent-Replayed") != "" {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	h.cloud.answers(nil)
	preview := r
	preview.path += "?validate_only=true"
	if got := h.send(preview); got.status != http.StatusOK {
		t.Fatalf("a preview: %d %s", got.status, got.body)
	}
	if n := h.number(`select count(*) from idempotency`); n != 0 {
		t.Errorf("%d requests are remembered", n)
	}
	if got := h.send(r); got.status != http.StatusCreated {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// TestKeptAnswersAreSealed looks for a new key's secret in the table, and then opens it under another keyring.
func TestKeptAnswersAreSealed(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	h := newHouse(t, m.into)
	all := h.creations(m.token(tenant.Platform))
	first := map[string]answered{}
	for id, c := range all {
		first[id] = h.send(h.keyed(c.raw, "key-of-"+id))
	}
	var table string
	must(t, h.owner.QueryRow(`select string_agg(concat_ws(' ', encode(request, 'escape'), encode(keepsake, 'escape'), encode(answer, 'escape')), ' ') from idempotency`).Scan(&table))
	_, secret, _ := strings.Cut(first["createAPIKey"].body, `"secret":"`)
	secret, _, _ = strings.Cut(secret, `"`)
	for _, word := range []string{secret, canary, "key-of-", "contoso"} {
		if word == "" || strings.Contains(table, word) {
			t.Errorf("%q is in the table", word)
		}
	}
	other := h.deps
	other.CursorKey = []byte(strings.Repeat("x", 32))
	base := h.serve(other)
	for id, c := range all {
		r := h.keyed(c.raw, "key-of-"+id)
		r.base = base
		got := h.send(r)
		if id == "createAPIKey" {
			if p := got.problem(t); got.status != http.StatusConflict || p.Code != api.CodeConflict || !strings.Contains(p.Detail, "cannot be shown") {
				t.Errorf("%s: %d %s", id, got.status, got.body)
			}
			continue
		}
		if got.status != first[id].status || got.header.Get("Location") != first[id].header.Get("Location") || got.header.Get("Idempotent-Replayed") != "true" {
			t.Errorf("%s: %d %v, first %d %v", id, got.status, got.header, first[id].status, first[id].header)
		}
	}
}

func TestRequestsAreForgottenAfterADay(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	r := h.keyed(raw{method: http.MethodPost, path: "/v1/api-keys", key: h.mine.keys[tenant.Admin], body: `{"name":"daily","role":"readonly"}`}, "daily")
	first := h.send(r)
	h.exec(`update idempotency set created_at = now() - interval '23 hours 59 minutes'`)
	if got := h.send(r); got.body != first.body {
		t.Errorf("within a day: %d %s", got.status, got.body)
	}
	h.exec(`update idempotency set created_at = now() - interval '24 hours 1 second'`)
	if got := h.send(r); got.status != http.StatusCreated || got.body == first.body || got.header.Get("Idempotent-Replayed") != "" {
		t.Errorf("after a day: %d %v %s", got.status, got.header, got.body)
	}
	if n := h.number(`select count(*) from api_key where name = 'daily'`); n != 2 {
		t.Errorf("%d keys", n)
	}
}
