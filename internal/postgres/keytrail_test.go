package postgres_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/envelope"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

// told lists the events of a tenant from the oldest on, each with what it changed.
func (h *trail) told(id tenant.ID) (list []string) {
	h.t.Helper()
	events, _, err := h.store.ListAuditEvents(h.t.Context(), id, audit.Filter{}, inventory.PageRequest{Limit: 100})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, e := range slices.Backward(events) {
		text := string(e.Action)
		for _, c := range e.Changes {
			text += fmt.Sprintf(" %s:%s>%s", c.Field, c.Before, c.After)
		}
		list = append(list, text)
	}
	return list
}

// TestWhatBecomesOfDataKeysIsRecorded wraps a tenant's data key anew, replaces it and drops the replaced one, each time once more than
// there is something to do.
func TestWhatBecomesOfDataKeysIsRecorded(t *testing.T) {
	t.Parallel()
	h := newTrail(t)
	ctx, other := t.Context(), h.tenant()
	first := envelope.DataKey{Tenant: h.id, Number: 1, KEK: "keyring:0123abcd", Wrapped: []byte("w1")}
	again := envelope.DataKey{Tenant: h.id, Number: 1, KEK: "hashivault://operators-namespace/transit/key#3", Wrapped: []byte("w2")}
	second := envelope.DataKey{Tenant: h.id, Number: 2, KEK: again.KEK, Wrapped: []byte("w3")}
	for _, k := range []envelope.DataKey{first, {Tenant: other, Number: 1, KEK: first.KEK, Wrapped: []byte("o1")}} {
		if err := h.store.AddDataKey(ctx, k); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 2 {
		replaced, err := h.store.ReplaceWrapped(ctx, first, again)
		if err != nil || replaced != (n == 0) {
			t.Errorf("wrapped anew: %v %v", replaced, err)
		}
	}
	for range 2 {
		if err := h.store.AddDataKey(ctx, second); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 2 {
		if dropped, err := h.store.DropReplacedDataKeys(ctx); err != nil || dropped != 1-n {
			t.Errorf("dropped: %d %v", dropped, err)
		}
	}
	told := h.told(h.id)
	for i, want := range []string{
		"tenant.data_key_rewrapped data_key:>1 kek:keyring:0123abcd>hashivault:", "tenant.data_key_renewed data_key:1>2 kek:>hashivault:", "tenant.data_key_dropped data_key:1>",
	} {
		if len(told) != 4 || !strings.HasPrefix(told[i+1], want) {
			t.Errorf("event %d is not %q: %q", i+2, want, told)
		}
	}
	if strings.Contains(strings.Join(told, ""), "operators-namespace") {
		t.Errorf("the tenant is told where the operator's keys are: %q", told)
	}
	if others := h.told(other); len(others) != 1 {
		t.Errorf("of another tenant: %q", others)
	}
	if events, err := h.verify(h.id); events != 4 || err != nil {
		t.Errorf("%d events hold, %v", events, err)
	}
}

// TestNothingBecomesOfDataKeysUnrecorded takes the right to write events away.
func TestNothingBecomesOfDataKeysUnrecorded(t *testing.T) {
	t.Parallel()
	h := newTrail(t)
	ctx := t.Context()
	key := func(number int, kek string) envelope.DataKey {
		return envelope.DataKey{Tenant: h.id, Number: number, KEK: kek, Wrapped: []byte(kek)}
	}
	for n := range 2 {
		if err := h.store.AddDataKey(ctx, key(n+1, "keyring:old")); err != nil {
			t.Fatal(err)
		}
	}
	h.exec("revoke insert on audit_event from defender_app")
	if replaced, err := h.store.ReplaceWrapped(ctx, key(2, "keyring:old"), key(2, "keyring:new")); err == nil {
		t.Errorf("wrapped anew: %v", replaced)
	}
	if err := h.store.AddDataKey(ctx, key(3, "keyring:new")); err == nil {
		t.Error("replaced")
	}
	if n, err := h.store.DropReplacedDataKeys(ctx); err == nil {
		t.Errorf("%d dropped", n)
	}
	if by, err := h.store.DataKeysByKEK(ctx); err != nil || len(by) != 1 || by["keyring:old"] != 2 {
		t.Errorf("stored: %v %v", by, err)
	}
}
