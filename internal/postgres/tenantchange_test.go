package postgres_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/envelope"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

func (h *trail) connect() error {
	_, err := h.store.CreateIntegration(context.WithoutCancel(h.t.Context()), connector.Integration{
		Tenant: h.id, PublicID: uuid.Must(uuid.NewV7()), Kind: "microsoft-defender", Name: "x", DirectoryID: uuid.NewString(), ClientID: uuid.NewString(),
		Method: connector.MethodSecret, SecretBox: []byte("box"), Settings: inventory.DefaultSettings(), IntervalHours: 24, State: connector.StateActive, SecretUpdatedAt: time.Now(),
	})
	return err
}

func TestOfManyConnectionsAtOnceTheLimitLetsItsNumberThrough(t *testing.T) {
	t.Parallel()
	h := newTrail(t)
	_, err := h.store.UpdateTenant(t.Context(), h.id, 0, func(t *tenant.Tenant) { t.Limits.MaxIntegrations = 3 })
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	through := 0
	for range 12 {
		all.Go(func() {
			err := h.connect()
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				through++
			case !fault.Is(err, fault.CodeConflict):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if through != 3 {
		t.Errorf("%d connected, 3 may", through)
	}
	if _, err := h.store.UpdateTenant(t.Context(), h.id, 0, func(t *tenant.Tenant) { t.Limits = tenant.Limits{} }); err != nil {
		t.Fatal(err)
	}
	if err := h.connect(); err != nil {
		t.Errorf("without a limit: %v", err)
	}
}

// TestNothingSlipsInBesideASuspensionOrADeletion lets many connect, make keys and seal secrets while the tenant ends: what they were told has
// come about is there before it, and nothing comes after it.
func TestNothingSlipsInBesideASuspensionOrADeletion(t *testing.T) {
	t.Parallel()
	for _, deleted := range []bool{false, true} {
		h := newTrail(t)
		start := make(chan struct{})
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				<-start
				for n := range 10 {
					text := tenant.NewKey()
					_, byKey := h.store.CreateAPIKey(context.Background(), h.id, tenant.APIKey{Name: "k", Role: tenant.ReadOnly, ExpiresAt: time.Now().Add(time.Hour)}, text)
					sealed := h.store.AddDataKey(context.Background(), envelope.DataKey{Tenant: h.id, Number: i*10 + n + 1, KEK: "k", Wrapped: []byte("w")})
					for _, err := range []error{h.connect(), byKey, sealed} {
						if err != nil && !fault.Is(err, fault.CodeUnauthenticated) && !fault.Is(err, fault.CodeUnavailable) {
							t.Error(err)
						}
					}
				}
			})
		}
		all.Go(func() {
			<-start
			var err error
			if deleted {
				_, err = h.store.DeleteTenant(context.Background(), h.id, 0)
			} else {
				err = h.store.SetTenantState(context.Background(), h.id, tenant.Suspended)
			}
			if err != nil {
				t.Error(err)
			}
		})
		close(start)
		all.Wait()
		for query, want := range map[string]bool{
			"select count(*) from run where state <> 'cancelled'": true, "select count(*) from job where kind <> 'offboard'": true,
			"select count(*) from tenant_key": deleted, "select count(*) from api_key where revoked_at is null": deleted,
			"select count(*) from integration where secret_box is not null": deleted,
		} {
			var n int
			if err := h.owner.QueryRow(query).Scan(&n); err != nil || want && n != 0 {
				t.Errorf("deleted %v: %d, %v: %s", deleted, n, err, query)
			}
		}
		if _, err := h.verify(h.id); err != nil {
			t.Error(err)
		}
	}
}

func TestAChangeOfATenantIsToldMemberByMember(t *testing.T) {
	t.Parallel()
	h := newTrail(t)
	ctx := t.Context()
	updated, err := h.store.UpdateTenant(ctx, h.id, 1, func(t *tenant.Tenant) {
		t.Name, t.Account, t.State, t.Limits.MaxIntegrations = "Fabrikam", "it@fabrikam.example", tenant.Suspended, 7
	})
	if err != nil || updated.Version != 2 {
		t.Fatal(updated, err)
	}
	if _, err := h.store.UpdateTenant(ctx, h.id, 1, func(t *tenant.Tenant) { t.Name = "x" }); !fault.Is(err, fault.CodePreconditionFailed) {
		t.Errorf("the version of before: %v", err)
	}
	events, _, err := h.store.ListAuditEvents(ctx, h.id, audit.Filter{}, inventory.PageRequest{Limit: 10})
	if err != nil || len(events) != 3 || events[0].Action != audit.TenantStateChanged || events[1].Action != audit.TenantUpdated || len(events[1].Changes) != 3 {
		t.Errorf("%+v, %v", events, err)
	}
	other := h.tenant()
	if _, err := h.store.UpdateTenant(ctx, other, 0, func(t *tenant.Tenant) { t.Account = "IT@fabrikam.example" }); !fault.Is(err, fault.CodeConflict) {
		t.Errorf("another's account: %v", err)
	}
}
