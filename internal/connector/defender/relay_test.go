package defender

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/inventory"
)

func TestARelayHandsOverEverythingInOrder(t *testing.T) {
	t.Parallel()
	var got []int
	r := newRelay(3, func(batch []int) error { got = append(got, batch...); return nil })
	for i := range 100 {
		batch, err := r.next()
		if err != nil || len(batch) != 3 {
			t.Fatal(len(batch), err)
		}
		batch[0], batch[1] = 2*i, 2*i+1
		if err := r.pass(batch[:2]); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.end(); err != nil || len(got) != 200 || !slices.IsSorted(got) {
		t.Errorf("%d items, %v", len(got), err)
	}
}

func TestARelayGivesTheConsumersErrorToWhoeverAsksNext(t *testing.T) {
	t.Parallel()
	full, calls := errors.New("full"), 0
	r := newRelay(1, func([]int) error { calls++; return full })
	var err error
	for n := 0; err == nil; n++ {
		var batch []int
		if batch, err = r.next(); err == nil {
			err = r.pass(batch)
		}
		if n > 3 {
			t.Fatal("goes on after the consumer has ended")
		}
	}
	if !errors.Is(err, full) || !errors.Is(r.end(), full) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

func TestAPanicOfTheConsumerGoesOnWithItsCaller(t *testing.T) {
	t.Parallel()
	r := newRelay(1, func([]int) error { panic("poison") })
	defer func() {
		if text, _ := recover().(string); !strings.HasPrefix(text, "poison\n") || !strings.Contains(text, "relay_test.go") {
			t.Errorf("recovered %q", text)
		}
	}()
	batch, _ := r.next()
	_ = r.pass(batch)
	_ = r.end()
	t.Error("the panic was lost")
}

// TestMachinesAreTakenWhileTheNextPageIsRead has a consumer that waits for the call of the second page.
func TestMachinesAreTakenWhileTheNextPageIsRead(t *testing.T) {
	t.Parallel()
	called := make(chan struct{})
	u := newUpstream(t)
	last := page(listOf("id", 10, 20, ""))
	u.onAPI = inTurn(page(listOf("id", 0, 10, u.URL+pathMachines+"?$skip=10")), func(w http.ResponseWriter, r *http.Request) {
		close(called)
		last(w, r)
	})
	n := 0
	err := u.open().Machines(t.Context(), time.Time{}, func(batch []inventory.Machine) error {
		n += len(batch)
		select {
		case <-called:
			return nil
		case <-time.After(10 * time.Second):
			return context.DeadlineExceeded
		}
	})
	if err != nil || n != 20 {
		t.Errorf("%d machines, %v", n, err)
	}
}
