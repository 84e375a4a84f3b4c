package defender

import (
	"context"
	"testing"
	"time"

	"pgp.internal/defender/internal/fault"
)

// TestACallInVainBreaksOffNoOther has one call of the ledger fail while another is under way, which has 3 seconds of its own and is left
// them: breaking it off would take the driver longer than its end. Further calls are not made.
func TestACallInVainBreaksOffNoOther(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	ctx = withPerson(ctx, stop)
	p := personOf(ctx)
	err := p.ask(ctx, func(under context.Context) error {
		if until, ok := under.Deadline(); !ok || time.Until(until) > 3*time.Second {
			t.Errorf("it may take until %v", until)
		}
		if err := p.ask(ctx, func(context.Context) error { return fault.New(fault.CodeUnavailable, "") }); !fault.Is(err, fault.CodeUnavailable) {
			t.Errorf("the one in vain: %v", err)
		}
		if ctx.Err() == nil || under.Err() != nil {
			t.Errorf("the check: %v, the other call: %v", ctx.Err(), under.Err())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if err := p.ask(ctx, func(context.Context) error { t.Error("asked once more"); return nil }); !fault.Is(err, fault.CodeUnavailable) {
		t.Errorf("a further one: %v", err)
	}
}
