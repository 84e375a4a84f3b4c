package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/httpapi"
	"pgp.internal/defender/internal/repeat"
	"pgp.internal/defender/internal/tenant"
)

// absent is a store of repetitions whose database is away for a while.
type absent struct {
	httpapi.RepeatStore
	mu    sync.Mutex
	err   error
	tries map[uuid.UUID]int
}

func (s *absent) BeginRequest(context.Context, *repeat.Attempt) (repeat.Memory, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return repeat.Memory{}, s.err == nil, s.err
}

func (s *absent) GiveUpRequest(_ context.Context, a *repeat.Attempt) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries[a.Holder]++
	return s.err
}

func (s *absent) is(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *absent) tried(a *repeat.Attempt) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tries[a.Holder]
}

// TestWhatCouldNotBeGivenBackIsTriedFurther counts the tries by a clock of its own: with the database away, back, and away for good.
func TestWhatCouldNotBeGivenBackIsTriedFurther(t *testing.T) {
	t.Parallel()
	away, attempt := fault.New(fault.CodeUnavailable, ""), func() *repeat.Attempt { return &repeat.Attempt{Holder: uuid.New(), Within: 15 * time.Second} }
	synctest.Test(t, func(t *testing.T) {
		store := &absent{err: away, tries: map[uuid.UUID]int{}}
		g := httpapi.NewGiveBack(store, slog.New(slog.DiscardHandler))
		defer g.Stop()
		passes := func(d time.Duration) { <-time.After(d); synctest.Wait() }
		given, begun, lost := attempt(), attempt(), attempt()
		if err := g.GiveUpRequest(t.Context(), given); !errors.Is(err, away) {
			t.Fatal(err)
		}
		passes(3500 * time.Millisecond)
		if n := store.tried(given); n != 4 {
			t.Errorf("%d tries with the database away", n)
		}
		if _, _, err := g.BeginRequest(t.Context(), begun); !errors.Is(err, away) {
			t.Fatal(err)
		}
		store.is(nil)
		passes(time.Minute)
		if store.tried(given) != 5 || store.tried(begun) != 2 {
			t.Errorf("%d and %d tries, want one that succeeds, and two of what may still come through", store.tried(given), store.tried(begun))
		}
		store.is(away)
		_ = g.GiveUpRequest(t.Context(), lost)
		passes(time.Minute)
		if n := store.tried(lost); n < 14 || n > 16 {
			t.Errorf("%d tries in the time of the name", n)
		}
		refused := attempt()
		store.is(fault.New(fault.CodeReadOnly, ""))
		_ = g.GiveUpRequest(t.Context(), refused)
		passes(time.Minute)
		if n := store.tried(refused); n != 1 {
			t.Errorf("%d tries of what is refused", n)
		}
	}) // which fails if a goroutine is left
}

// TestAStoppedGiveBackLeavesNothing stops while something is owed, and owes more than fits.
func TestAStoppedGiveBackLeavesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &absent{err: context.Canceled, tries: map[uuid.UUID]int{}}
		g := httpapi.NewGiveBack(store, slog.New(slog.DiscardHandler))
		for range 1001 {
			_ = g.GiveUpRequest(t.Context(), &repeat.Attempt{Holder: uuid.New(), Within: time.Hour})
		}
		store.is(nil)
		<-time.After(1500 * time.Millisecond)
		synctest.Wait()
		again := 0
		for _, n := range store.tries {
			again += n - 1
		}
		if again != 1000 {
			t.Errorf("%d names were tried again", again)
		}
		store.is(context.Canceled)
		late := &repeat.Attempt{Holder: uuid.New(), Within: time.Hour}
		_ = g.GiveUpRequest(t.Context(), late)
		g.Stop()
		_ = g.GiveUpRequest(t.Context(), late)
		<-time.After(time.Minute)
		if n := store.tried(late); n != 2 {
			t.Errorf("%d tries after the stop", n-2)
		}
	})
}

// withholding gives no name back.
type withholding struct{ httpapi.RepeatStore }

func (withholding) GiveUpRequest(context.Context, *repeat.Attempt) error { return nil }

// TestATakenKeyTellsWhenItIsFree lets an attempt be broken off, and looks in its time and when no answer can come any more.
func TestATakenKeyTellsWhenItIsFree(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(d *httpapi.Deps) { d.Keys, d.Repeats = waitedFor{d.Keys}, withholding{d.Repeats} })
	r := h.keyed(raw{method: http.MethodPost, path: "/v1/api-keys", key: h.mine.keys[tenant.Admin], body: `{"name":"x","role":"readonly"}`}, "broken-off")
	if got := h.send(r); got.status != http.StatusServiceUnavailable {
		t.Fatalf("%d %s", got.status, got.body)
	}
	for held, want := range map[string]struct{ after, told string }{
		"12 seconds": {"1", "free in 12 seconds"}, "8 seconds": {"8", "free in 8 seconds"}, "infinity": {"1", "free in 86400 seconds"},
	} {
		until := "now() + interval '" + held + "'"
		if held == "infinity" {
			until = "'infinity'"
		}
		h.exec(fmt.Sprintf(`update idempotency set held_until = %s`, until))
		got := h.send(r)
		if p := got.problem(t); p.Code != api.CodeIdempotencyInProgress || got.header.Get("Retry-After") != want.after || !strings.Contains(p.Detail, want.told) {
			t.Errorf("%s: %d, Retry-After %s: %s", held, got.status, got.header.Get("Retry-After"), got.body)
		}
	}
}
