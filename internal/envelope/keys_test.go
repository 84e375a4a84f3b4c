package envelope_test

import (
	"errors"
	"testing"
	"time"

	"pgp.internal/defender/internal/envelope"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
)

// TestACheckValueTellsTheRightKey writes a check value with one key and looks at it with others.
func TestACheckValueTellsTheRightKey(t *testing.T) {
	t.Parallel()
	ctx, ring := t.Context(), newRing(t, seal.NewKey().Reveal())
	right := envelope.NewKeys(time.Now, envelope.Keyring(ring))
	name, wrapped, err := right.CheckValue(ctx)
	must(t, err)
	must(t, right.VerifyCheck(ctx, name, wrapped))
	other := envelope.NewKeys(time.Now, envelope.Keyring(newRing(t, seal.NewKey().Reveal())))
	if !right.Opens(name) || other.Opens(name) {
		t.Errorf("%s is opened by the right key: %v, by another: %v", name, right.Opens(name), other.Opens(name))
	}
	if err := other.VerifyCheck(ctx, name, wrapped); !errors.Is(err, seal.ErrUnknownKey) {
		t.Errorf("with another key: %v", err)
	}
	_, foreign, err := envelope.Keyring(ring).Wrap(ctx, seal.NewDataKeySecret(), "kek/check")
	must(t, err)
	if err := right.VerifyCheck(ctx, name, foreign); !errors.Is(err, seal.ErrUnreadable) {
		t.Errorf("another text by the right key: %v", err)
	}
}

// TestDataKeysAreReplacedOnce gives each of three tenants a second data key, in steps smaller than three, and none a third one.
func TestDataKeysAreReplacedOnce(t *testing.T) {
	t.Parallel()
	ctx, store, ring := t.Context(), postgrestest.New(t), newRing(t, seal.NewKey().Reveal())
	keys := envelope.NewKeys(time.Now, envelope.Keyring(ring))
	s, boxes := envelope.NewSealer(store, keys, ring), map[tenant.ID]seal.Box{}
	for range 3 {
		id := newTenant(t, store)
		boxes[id] = sealed(t, s, id)
	}
	for turn, want := range []int{3, 0} {
		if made, err := keys.Renew(ctx, store, 2); err != nil || made != want {
			t.Errorf("turn %d: %d made, %v; want %d", turn, made, err, want)
		}
	}
	for id, box := range boxes {
		if newest, found, err := store.DataKey(ctx, id, 2); err != nil || !found || newest.Number != 2 {
			t.Errorf("tenant %d has the data key %+v, %v, %v", id, newest, found, err)
		}
		mustOpen(t, s, id, box)
		mustOpen(t, s, id, sealed(t, s, id))
	}
}

// TestRenewalsStopAtAKeyServiceThatIsAway makes none that nobody wrapped.
func TestRenewalsStopAtAKeyServiceThatIsAway(t *testing.T) {
	t.Parallel()
	ctx, store, ring := t.Context(), postgrestest.New(t), newRing(t, seal.NewKey().Reveal())
	service, kek := vault(t)
	keys := envelope.NewKeys(time.Now, kek)
	sealed(t, envelope.NewSealer(store, keys, ring), newTenant(t, store))
	service.Fail(503)
	if made, err := keys.Renew(ctx, store, 2); made != 0 || !fault.Is(err, fault.CodeKeysUnavailable) {
		t.Errorf("%d made, %v", made, err)
	}
	if done, err := keys.Rewrap(ctx, store, 2); done.Done != 0 || !fault.Is(err, fault.CodeKeysUnavailable) {
		t.Errorf("%+v, %v", done, err)
	}
}
