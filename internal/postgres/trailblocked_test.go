package postgres_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/tenant"
)

// takenOut is how docs/operations.md has the owner take out an event.
func takenOut(t *testing.T, chain tenant.ID, number int) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(text), "\\set number 42\n")
	block, _, ended := strings.Cut(block, "```")
	if !found || !ended {
		t.Fatal("docs/operations.md does not say how")
	}
	return strings.NewReplacer(":tenant", fmt.Sprint(chain), ":number", fmt.Sprint(number)).Replace(block)
}

// TestAPlantedEventIsToldAndTakenOut plants the next event of a chain as the role of the service. The way out does that and nothing
// else, also when it is taken with the number of a true event.
func TestAPlantedEventIsToldAndTakenOut(t *testing.T) {
	t.Parallel()
	h := newTrail(t)
	h.change(2)
	h.exec(fmt.Sprintf(`begin; set local role defender_app; set local app.system = 'on';
		insert into audit_event select tenant_id, 4, gen_random_uuid(), at, actor_kind, actor_id, actor_name, action, resource_type, resource_id, outcome,
		request_id, address, changes, key_id, hash from audit_event where tenant_id = %d and sequence = 1; commit`, h.id))
	err := h.store.SetEntitlement(t.Context(), h.id, tenant.Entitlement{MaxAssets: 7})
	if !fault.Is(err, fault.CodeUnavailable) || !strings.Contains(err.Error(), "audit_event_pkey") {
		t.Errorf("a change behind it: %v", err)
	}
	other := h.tenant()
	if err := h.store.SetEntitlement(t.Context(), other, tenant.Entitlement{MaxAssets: 7}); err != nil {
		t.Errorf("another tenant: %v", err)
	}
	var broken *audit.BrokenError
	if _, err := h.verify(h.id); !errors.As(err, &broken) || broken.Sequence != 4 || !strings.Contains(broken.Reason, "changed, inserted or moved") {
		t.Errorf("%v, want event 4", err)
	}
	for _, number := range []int{2, 4} {
		h.exec(takenOut(t, h.id, number))
	}
	h.change(1)
	if events, err := h.verify(h.id); err != nil || events != 4 {
		t.Errorf("%d events, %v", events, err)
	}
	var kept int
	if err := h.owner.QueryRow(`select count(*) from audit_event_planted where sequence = 4`).Scan(&kept); err != nil || kept != 1 {
		t.Errorf("%d kept, %v", kept, err)
	}
}
