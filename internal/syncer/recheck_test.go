package syncer_test

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/syncer"
)

// look is one look of the watch, some time after the last one; it gives the token requests that were made.
func (h *house) look(later time.Duration) (tokens int) {
	h.t.Helper()
	h.now = h.now.Add(later)
	h.sim.ClearJournal()
	if err := syncer.NewCredentialWatch(h.store, h.links, slog.New(slog.DiscardHandler), h.clock).Look(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	for _, e := range h.sim.Journal(0) {
		if strings.HasSuffix(e.Path, "/token") {
			tokens++
		}
	}
	return tokens
}

func (h *house) mustLook(what string, later time.Duration, tokens int) {
	h.t.Helper()
	if got := h.look(later); got != tokens {
		h.t.Errorf("%s: %d token requests, want %d", what, got, tokens)
	}
}

func TestStoredCredentialsAreCheckedRegularly(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 3, 2)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	state := func(want connector.State, reason string) {
		t.Helper()
		if now := h.integration(i); now.State != want || now.StateReason != reason {
			t.Errorf("%s %q, want %s %q", now.State, now.StateReason, want, reason)
		}
	}
	h.mustLook("just connected", 23*time.Hour, 0)
	h.mustLook("a day later", 2*time.Hour, 1)
	h.mustLook("at once again", 0, 0)
	h.mustLook("half a day later", 12*time.Hour, 0)
	state(connector.StateActive, "")
	h.rotateAtMicrosoft(renewed)
	h.mustLook("the day after", 15*time.Hour, 1)
	state(connector.StateActionRequired, fault.CodeCredentialsInvalid)
	h.sql(fmt.Sprintf(`update integration set recheck_at = recheck_at + interval '%d seconds'`, int(time.Until(h.now).Seconds()))) // the database's clock stayed
	h.mustLook("soon after it was found broken", 50*time.Minute, 0)
	h.mustLook("more than an hour after", 20*time.Minute, 1)
	h.mustLook("soon after that", 50*time.Minute, 0)
	h.rotateAtMicrosoft(secret)
	h.mustLook("another hour later", 20*time.Minute, 1)
	state(connector.StateActive, "")
	mustSucceed(t, h.due())
	_, err := h.links.Pause(t.Context(), h.tenant, i.PublicID, 0, false)
	must(t, err)
	h.mustLook("paused", 1000*time.Hour, 0)
	_, err = h.links.Disconnect(t.Context(), h.tenant, i.PublicID, 0, false)
	must(t, err)
	h.mustLook("disconnected", 1000*time.Hour, 0)
}

func TestARunThatFindsALinkBrokenBringsItsCheckForward(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 3, 2)
	i := h.connect(h.tenant, nil)
	h.rotateAtMicrosoft(renewed)
	mustEnd(t, h.work(), syncer.Failed, fault.CodeCredentialsInvalid)
	h.rotateAtMicrosoft(secret)
	h.mustLook("an hour after", 61*time.Minute, 1)
	if now := h.integration(i); now.State != connector.StateActive {
		t.Errorf("mended: %s", now.State)
	}
}

func TestTheCheckSwapsWhatIsStagedIn(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 3, 2)
	w := everyWay(t, h)[connector.MethodCertificate]
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	_, err := h.links.StageSecret(t.Context(), h.tenant, i.PublicID, connector.Rotation{Credentials: w.creds})
	must(t, err)
	h.mustLook("neither time", 25*time.Hour, 2)
	h.takes(w.app)
	h.mustLook("once it works", 27*time.Hour, 1)
	h.mustUse(i, connector.MethodCertificate)
}

// TestRechecksAreSharedOut has several processes claim at once: nothing twice, nothing more than asked for.
func TestRechecksAreSharedOut(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 1, 1)
	const many = 9
	for n := range many {
		h.connect(h.newTenant(fmt.Sprint(n), true), nil)
	}
	var mu sync.Mutex
	claimed := map[uuid.UUID]int{}
	var group sync.WaitGroup
	for range 6 {
		group.Go(func() {
			for range many { // a row that another one is just claiming is passed over
				list, err := h.store.ClaimRechecks(t.Context(), h.now.Add(25*time.Hour), 2)
				if err != nil || len(list) > 2 {
					t.Errorf("%d claimed, %v", len(list), err)
				}
				mu.Lock()
				for _, r := range list {
					claimed[r.Integration]++
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	for id, times := range claimed {
		if times != 1 {
			t.Errorf("%s was claimed %d times", id, times)
		}
	}
	spread := h.number(`select count(distinct recheck_at) from integration where recheck_at between now() + interval '2 days' and now() + interval '52 hours'`)
	if len(claimed) != many || spread < many-1 {
		t.Errorf("%d of %d claimed, at %d times", len(claimed), many, spread)
	}
}

// TestTheWatchRunsAndStops starts it for real, with a check that Microsoft keeps waiting.
func TestTheWatchRunsAndStops(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 1, 1)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	_, err := h.links.StageSecret(t.Context(), h.tenant, i.PublicID, connector.Rotation{Credentials: connector.Credentials{Secret: seal.NewSecret(renewed)}})
	must(t, err)
	h.now = h.now.Add(25 * time.Hour)
	id := h.fault(defendersim.Fault{Route: "token", Hold: true})
	w := syncer.NewCredentialWatch(h.store, h.links, h.logger(), h.clock)
	w.Start()
	must(t, h.sim.AwaitFault(t.Context(), id))
	must(t, w.Stop(t.Context()))
	if now := h.integration(i); now.State != connector.StateActive || now.Staged.Problem.Code != "" {
		t.Errorf("a check that was cut short is no finding: %s, %q", now.State, now.Staged.Problem.Code)
	}
}
