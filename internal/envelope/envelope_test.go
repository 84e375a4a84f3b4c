package envelope_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"pgp.internal/defender/internal/envelope"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/kms"
	"pgp.internal/defender/internal/kms/kmstest"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
)

const place = "tenant/1/integration/x/client_secret"

var canary = seal.NewSecret("aB18Q~" + "x7Kp2mVtR9wLcN4sYdHfG6jZbQ3eU8aTo1iX")

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newRing(t *testing.T, lines ...string) *seal.Ring {
	t.Helper()
	text := ""
	for _, line := range lines {
		text += line + "\n"
	}
	ring, err := seal.ParseRing(text)
	must(t, err)
	return ring
}

func newTenant(t *testing.T, store *postgres.Store) tenant.ID {
	t.Helper()
	made, err := store.CreateTenant(t.Context(), "Contoso", "")
	must(t, err)
	return made.ID
}

// vault is a key service, and a key of it.
func vault(t *testing.T) (*kmstest.Service, envelope.KEK) {
	t.Helper()
	service := kmstest.New()
	server := httptest.NewServer(service.Vault("defender", "token"))
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(file, []byte("token"), 0o600))
	kek, err := kms.Open(t.Context(), "hashivault://defender?address="+server.URL, kms.Options{VaultTokenFile: file})
	must(t, err)
	return service, kek
}

func sealed(t *testing.T, s *envelope.Sealer, id tenant.ID) seal.Box {
	t.Helper()
	box, err := s.Seal(t.Context(), id, canary, place)
	must(t, err)
	return box
}

func mustOpen(t *testing.T, s *envelope.Sealer, id tenant.ID, box seal.Box) {
	t.Helper()
	if got, err := s.Open(t.Context(), id, box, place); err != nil || !got.Equal(canary) {
		t.Fatalf("%v", err)
	}
}

func TestTenantsHaveKeysOfTheirOwn(t *testing.T) {
	t.Parallel()
	store, ring := postgrestest.New(t), newRing(t, seal.NewKey().Reveal())
	s := envelope.NewSealer(store, envelope.NewKeys(time.Now, envelope.Keyring(ring)), ring)
	mine, theirs := newTenant(t, store), newTenant(t, store)
	box := sealed(t, s, mine)
	sealed(t, s, theirs)
	mustOpen(t, s, mine, box)
	if _, err := s.Open(t.Context(), theirs, box, place); !errors.Is(err, seal.ErrUnreadable) {
		t.Errorf("with the key of another tenant: %v", err)
	}
	if _, err := ring.Open(box, place); err == nil {
		t.Error("opened with the keyring alone")
	}
	// A wrapped data key does not serve another tenant either.
	stored, _, err := store.DataKey(t.Context(), mine, 1)
	must(t, err)
	foreign, _, err := store.DataKey(t.Context(), theirs, 1)
	must(t, err)
	moved := stored
	moved.Tenant = theirs
	replaced, err := store.ReplaceWrapped(t.Context(), foreign, moved)
	if err != nil || !replaced {
		t.Fatal(replaced, err)
	}
	if _, err := s.Open(t.Context(), theirs, box, place); !errors.Is(err, seal.ErrUnreadable) {
		t.Errorf("with a data key that was moved: %v", err)
	}
	if older, err := ring.Seal(canary, place); err != nil {
		t.Error(err)
	} else {
		mustOpen(t, s, mine, older) // sealed before there were data keys
	}
}

// TestWithoutItsDataKeysATenantIsShredded keeps a copy of the box and all keys that are not in the database.
func TestWithoutItsDataKeysATenantIsShredded(t *testing.T) {
	t.Parallel()
	store, line := postgrestest.New(t), seal.NewKey().Reveal()
	ring := newRing(t, line)
	s := envelope.NewSealer(store, envelope.NewKeys(time.Now, envelope.Keyring(ring)), ring)
	mine, theirs := newTenant(t, store), newTenant(t, store)
	copied, other := sealed(t, s, mine), sealed(t, s, theirs)
	if n, err := store.DestroyDataKeys(t.Context(), mine); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	fresh := envelope.NewSealer(store, envelope.NewKeys(time.Now, envelope.Keyring(newRing(t, line))), newRing(t, line))
	for name, sealer := range map[string]*envelope.Sealer{"a process that had opened it": s, "another process": fresh} {
		if _, err := sealer.Open(t.Context(), mine, copied, place); !errors.Is(err, seal.ErrUnknownKey) {
			t.Errorf("%s: %v", name, err)
		}
		mustOpen(t, sealer, theirs, other)
	}
	mustOpen(t, s, mine, sealed(t, s, mine)) // a secret that is entered again gets a new key
	if _, err := s.Open(t.Context(), mine, copied, place); !errors.Is(err, seal.ErrUnreadable) {
		t.Errorf("with the new data key: %v", err)
	}
}

func TestManyFirstSealsMakeOneDataKey(t *testing.T) {
	t.Parallel()
	store, ring := postgrestest.New(t), newRing(t, seal.NewKey().Reveal())
	id := newTenant(t, store)
	boxes, errs := make([]seal.Box, 16), make([]error, 16)
	var wg sync.WaitGroup
	for i := range boxes {
		wg.Go(func() { // each as a process of its own
			s := envelope.NewSealer(store, envelope.NewKeys(time.Now, envelope.Keyring(ring)), ring)
			boxes[i], errs[i] = s.Seal(context.Background(), id, canary, place)
		})
	}
	wg.Wait()
	must(t, errors.Join(errs...))
	s := envelope.NewSealer(store, envelope.NewKeys(time.Now, envelope.Keyring(ring)), ring)
	for _, box := range boxes {
		mustOpen(t, s, id, box)
	}
	if n, err := store.DataKeysByKEK(t.Context()); err != nil || len(n) != 1 || n["keyring:"+ring.IDs()[0]] != 1 {
		t.Errorf("%v, %v", n, err)
	}
}

func TestAnAbsentKeyServiceIsFeltByWhatIsNotInMemory(t *testing.T) {
	t.Parallel()
	store, ring := postgrestest.New(t), newRing(t, seal.NewKey().Reveal())
	service, kek := vault(t)
	now := time.Now()
	process := func() *envelope.Sealer {
		return envelope.NewSealer(store, envelope.NewKeys(func() time.Time { return now }, kek), ring)
	}
	s, id := process(), newTenant(t, store)
	box := sealed(t, s, id)
	asked := service.Calls("decrypt")
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := s.Open(context.Background(), id, box, place); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := service.Calls("decrypt"); n != asked || asked != 1 {
		t.Errorf("asked %d times, then %d", asked, n)
	}

	service.Fail(503) // sealed
	mustOpen(t, s, id, box)
	away := func(what string, err error) {
		t.Helper()
		if !fault.Is(err, fault.CodeKeysUnavailable) || errors.Is(err, seal.ErrUnreadable) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := process().Open(t.Context(), id, box, place)
	away("a process that begins", err)
	_, err = s.Seal(t.Context(), newTenant(t, store), canary, place)
	away("a new tenant", err)
	now = now.Add(envelope.KeepFor)
	_, err = s.Open(t.Context(), id, box, place)
	away("after the lifetime", err)
	service.Fail(0)
	mustOpen(t, s, id, box)
}

func TestDataKeysMoveToAKeyServiceAndBack(t *testing.T) {
	t.Parallel()
	store, line := postgrestest.New(t), seal.NewKey().Reveal()
	ring := newRing(t, line)
	service, kek := vault(t)
	local := envelope.Keyring(ring)
	boxes := map[tenant.ID]seal.Box{}
	for range 5 {
		id := newTenant(t, store)
		boxes[id] = sealed(t, envelope.NewSealer(store, envelope.NewKeys(time.Now, local), ring), id)
	}
	move := func(what string, want int, by string, current envelope.KEK, former ...envelope.KEK) {
		t.Helper()
		keys := envelope.NewKeys(time.Now, current, former...)
		done, err := keys.Rewrap(t.Context(), store, 2)
		must(t, err)
		inUse, err := store.DataKeysByKEK(t.Context())
		must(t, err)
		if done.Done != want || len(done.Unreadable) > 0 || len(inUse) != 1 || inUse[by] != 5 {
			t.Fatalf("%s: %+v, in use %v", what, done, inUse)
		}
		for id, box := range boxes { // with the current key alone
			mustOpen(t, envelope.NewSealer(store, envelope.NewKeys(time.Now, current), ring), id, box)
		}
	}
	move("to the key service", 5, "hashivault://transit/defender#v1", kek, local)
	move("once more", 0, "hashivault://transit/defender#v1", kek, local)
	service.Rotate()
	move("to its next version", 5, "hashivault://transit/defender#v2", kek)
	service.Withdraw(2)
	move("with the old version withdrawn", 0, "hashivault://transit/defender#v2", kek)
	move("back", 5, "keyring:"+ring.IDs()[0], local, kek)
	other := newRing(t, seal.NewKey().Reveal())
	done, err := envelope.NewKeys(time.Now, kek, envelope.Keyring(other)).Rewrap(t.Context(), store, 2)
	if err != nil || done.Done != 0 || len(done.Unreadable) != 5 {
		t.Errorf("without the key that wrapped them: %+v, %v", done, err)
	}
}
