package syncer_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/syncer"
)

// TestOverlappingRotationsLeaveTheLastOne holds that of 20 rotations at once the one that was committed last is what works, and
// once the others' secrets are withdrawn at Microsoft nothing asks for a token with one of them.
func TestOverlappingRotationsLeaveTheLastOne(t *testing.T) {
	t.Parallel()
	const rotations = 20
	apps := make([]defendersim.App, rotations)
	s := plain(spec(directory, 4, 2))
	for n := range apps {
		apps[n] = s.Apps[0]
		apps[n].ClientID = fmt.Sprintf("0b9d6c7e-61f4-4f0e-8d3a-%012x", n+1)
		apps[n].Secret = fmt.Sprintf("%sQ~overlappingSecretValue0123456789%02d", "abc8", n)
	}
	s.Apps = append(s.Apps, apps...)
	h := newHouseOf(t, s)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	var wg sync.WaitGroup
	for _, app := range apps {
		wg.Go(func() {
			_, _, err := h.links.RotateSecret(t.Context(), i.Tenant, i.PublicID, connector.Rotation{
				ClientID: app.ClientID, Credentials: connector.Credentials{Secret: seal.NewSecret(app.Secret)},
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	last := h.integration(i)
	if last.Version-i.Version < rotations {
		t.Errorf("%d changes", last.Version-i.Version)
	}
	withdrawn := 0
	for _, app := range append(apps, s.Apps[0]) {
		if app.ClientID == last.ClientID {
			continue
		}
		app.Secret = "withdrawn8Q~0123456789012345678901234567"
		must(t, h.sim.SetApp(directory, app))
		withdrawn++
	}
	h.sim.ClearJournal()
	checks, err := h.links.Validate(t.Context(), i.Tenant, i.PublicID)
	if err != nil || connector.Refusal(checks) != nil || withdrawn != rotations {
		t.Errorf("%d others withdrawn, validated: %v, %v", withdrawn, connector.Refusal(checks), err)
	}
	mustSucceed(t, h.again(i, syncer.Full))
	tokens := 0
	for _, call := range h.sim.Journal(0) {
		if call.Route != "token" {
			continue
		}
		if tokens++; call.Status != 200 {
			t.Errorf("a token was asked for with a secret that is not the last one: status %d", call.Status)
		}
	}
	if tokens == 0 {
		t.Error("no token was asked for: the journal calls the route otherwise")
	}
}

// TestADisconnectionEndsARunWhosePageIsHeld holds that the run of an integration that is disconnected ends within 30 seconds, while
// Microsoft has still not answered, and writes nothing afterwards.
func TestADisconnectionEndsARunWhosePageIsHeld(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 6, 3)
	i := h.connect(h.tenant, nil)
	id := h.fault(defendersim.Fault{Route: "software_vulnerabilities", Hold: true})
	e, endings := h.engine(job.Options{}) // with the heartbeat it has by default
	defer h.halt(e)
	must(t, h.sim.AwaitFault(t.Context(), id))
	began := time.Now()
	if _, err := h.links.Disconnect(t.Context(), h.tenant, i.PublicID, 0, false); err != nil {
		t.Fatal(err)
	}
	before := h.snapshot(h.tenant)
	if n := h.number(`select count(*) from integration where secret_box is not null or staged_box is not null`); n != 0 {
		t.Error("the secret is still there")
	}
	select {
	case <-endings:
	case <-time.After(30 * time.Second):
		t.Fatal("the run goes on")
	}
	t.Logf("ended after %v", time.Since(began))
	h.sim.ClearFaults()
	mustEnd(t, h.latest(i), syncer.Cancelled, fault.CodeRunCancelled)
	if h.snapshot(h.tenant) != before {
		t.Error("something was written after the disconnection")
	}
	if _, err := h.links.Disconnect(t.Context(), h.tenant, i.PublicID, 0, false); !fault.Is(err, fault.CodeConflict) {
		t.Errorf("disconnected twice: %v", err)
	}
}
