package syncer_test

import (
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/envelope"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/kms"
	"pgp.internal/defender/internal/kms/kmstest"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

func TestResealCoversWhatIsStaged(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 3, 2)
	i := h.connect(h.tenant, nil)
	_, err := h.links.StageSecret(t.Context(), h.tenant, i.PublicID, connector.Rotation{Credentials: connector.Credentials{Secret: seal.NewSecret(renewed)}})
	must(t, err)
	fresh := seal.NewKey().Reveal()
	both, err := seal.ParseRing(fresh + "\n" + h.keys)
	must(t, err)
	keys := envelope.NewKeys(time.Now, envelope.Keyring(both))
	wrapped, err := keys.Rewrap(t.Context(), h.store, 1)
	must(t, err)
	made, err := keys.Renew(t.Context(), h.store, 1)
	must(t, err)
	done, err := connector.Reseal(t.Context(), h.store, envelope.NewSealer(h.store, keys, both), 1)
	must(t, err)
	dropped, err := h.store.DropReplacedDataKeys(t.Context())
	must(t, err)
	inUse, err := h.store.DataKeysByKEK(t.Context())
	must(t, err)
	if wrapped.Done != 1 || made != 1 || done.Done != 2 || len(done.Unreadable) > 0 || dropped != 1 || len(inUse) != 1 || inUse["keyring:"+both.IDs()[0]] != 1 {
		t.Fatalf("%+v, %d made, %+v, %d dropped, keys in use %v", wrapped, made, done, dropped, inUse)
	}
	h.ring, err = seal.ParseRing(fresh)
	must(t, err)
	h.wire(defender.Config{})
	h.rotateAtMicrosoft(renewed)
	mustSucceed(t, h.work()) // by the staged one
	h.mustUse(i, connector.MethodSecret)

	// Moved into the other place by somebody who writes to the database, a box does not open.
	_, err = h.links.StageSecret(t.Context(), h.tenant, i.PublicID, connector.Rotation{Credentials: connector.Credentials{Secret: seal.NewSecret(renewed)}})
	must(t, err)
	h.sql(`update integration set secret_box = staged_box, staged_box = null`)
	if _, err := h.links.Validate(t.Context(), h.tenant, i.PublicID); !fault.Is(err, fault.CodeSecretUnreadable) {
		t.Errorf("a box in another place: %v", err)
	}
}

// TestAReplacedDataKeyTakesNoNewSecrets is about who sealed a secret just before its data key was dropped.
func TestAReplacedDataKeyTakesNoNewSecrets(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 3, 2)
	i := h.connect(h.tenant, nil)
	late, err := h.sealer(h.ring).Seal(t.Context(), h.tenant, seal.NewSecret(renewed), "anywhere")
	must(t, err)
	if n, err := h.store.DestroyDataKeys(t.Context(), h.tenant); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	h.sim.ClearJournal()
	_, err = h.store.UpdateIntegration(t.Context(), h.tenant, i.PublicID, 0, func(now *connector.Integration) error {
		now.SecretBox = late
		return nil
	})
	if !fault.Is(err, fault.CodeUnavailable) {
		t.Errorf("stored without its key: %v", err)
	}
	// What was sealed with the key that is gone is told as unreadable, and changes that do not touch it are still possible.
	if _, err := h.links.Validate(t.Context(), h.tenant, i.PublicID); !fault.Is(err, fault.CodeSecretUnreadable) {
		t.Errorf("without the data key: %v", err)
	}
	if calls := len(h.sim.Journal(0)); calls != 0 {
		t.Errorf("%d calls without a secret", calls)
	}
	if _, _, err := h.rotate(i, secret); err != nil {
		t.Errorf("entered again: %v", err)
	}
	h.mustUse(i, connector.MethodSecret)
}

// TestABoxMovedElsewhereStaysShut holds that a box copied by SQL into another integration, of the same tenant or another, is
// unreadable there and causes no call, while the one it was copied from works.
func TestABoxMovedElsewhereStaysShut(t *testing.T) {
	t.Parallel()
	for _, same := range []bool{true, false} {
		h := newPlainHouse(t, 3, 2)
		h.addDirectory(seeded(twin, "fabrikam.example", 77))
		owner := h.tenant
		if !same {
			owner = h.newTenant("Fabrikam", true)
		}
		a, b := h.connect(h.tenant, nil), h.connectTo(owner, twin, nil)
		h.sql(`update integration set secret_box = (select secret_box from integration where id = $1) where id = $2`, a.ID, b.ID)
		h.sim.ClearJournal()
		if _, err := h.links.Validate(t.Context(), owner, b.PublicID); !fault.Is(err, fault.CodeSecretUnreadable) {
			t.Errorf("same tenant %v: %v", same, err)
		}
		if calls := len(h.sim.Journal(0)); calls != 0 {
			t.Errorf("same tenant %v: %d calls with another's secret", same, calls)
		}
		if checks, err := h.links.Validate(t.Context(), h.tenant, a.PublicID); err != nil || connector.Refusal(checks) != nil {
			t.Errorf("same tenant %v: the other one does not work: %v", same, err)
		}
	}
}

// TestAnAbsentKeyServiceIsPassing lets a run, a validation and a re-check meet it: none takes the secret for unreadable.
func TestAnAbsentKeyServiceIsPassing(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 3, 2)
	service := kmstest.New()
	server := httptest.NewServer(service.Vault("defender", "token"))
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(file, []byte("token"), 0o600))
	var err error
	h.kek, err = kms.Open(t.Context(), "hashivault://defender?address="+server.URL, kms.Options{VaultTokenFile: file})
	must(t, err)
	h.wire(defender.Config{})
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())

	h.wire(defender.Config{}) // a process that has nothing in memory
	service.Fail(503)
	h.sim.ClearJournal()
	if _, err := h.links.Validate(t.Context(), h.tenant, i.PublicID); !fault.Is(err, fault.CodeKeysUnavailable) {
		t.Errorf("validated: %v", err)
	}
	run, err := h.store.StartRun(t.Context(), h.tenant, i.PublicID, syncer.Full)
	must(t, err)
	j := h.claim()
	o := h.syncer.Handle(t.Context(), j)
	if o.Ending != job.Snooze || o.After <= 0 {
		t.Errorf("the run ended with %+v", o)
	}
	must(t, h.store.Finish(t.Context(), j, o))
	if now := h.integration(i); now.State != connector.StateActive || len(h.sim.Journal(0)) != 0 {
		t.Errorf("the integration is %s %q, %d calls", now.State, now.StateReason, len(h.sim.Journal(0)))
	}
	service.Fail(0)
	h.sql(`update job set run_at = now()`)
	if again := h.work(); again.PublicID != run.PublicID || again.State != syncer.Succeeded {
		t.Errorf("with the key service back the run is %s", again.State)
	}
}

// renewing gives the tenant another data key as soon as it has sealed something with the present one.
type renewing struct {
	connector.Sealer
	renew func()
	seals int
}

func (r *renewing) Seal(ctx context.Context, t tenant.ID, clear seal.Secret, binding string) (seal.Box, error) {
	box, err := r.Sealer.Seal(ctx, t, clear, binding)
	if r.seals++; r.seals == 1 {
		r.renew()
	}
	return box, err
}

// TestASecretSealedJustBeforeItsKeyWasReplacedIsSealedAgain has a data key replaced, and all secrets resealed, between the sealing of a
// new secret and its storing.
func TestASecretSealedJustBeforeItsKeyWasReplacedIsSealedAgain(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 3, 2)
	i := h.connect(h.tenant, nil)
	h.rotateAtMicrosoft(renewed)
	r := &renewing{Sealer: h.sealer(h.ring)}
	r.renew = func() {
		_, err := envelope.NewKeys(time.Now, envelope.Keyring(h.ring)).Renew(t.Context(), h.store, 1)
		must(t, err)
		_, err = connector.Reseal(t.Context(), h.store, h.sealer(h.ring), 1)
		must(t, err)
	}
	conn, err := defender.New(defender.Config{LoginURL: h.server.URL, APIURL: h.server.URL, AllowInsecure: true, Budget: defender.Unlimited{}})
	must(t, err)
	links := connector.NewService(h.store, r, connector.Registry{defender.Kind: conn}, h.clock)
	_, _, err = links.RotateSecret(t.Context(), h.tenant, i.PublicID, connector.Rotation{Credentials: connector.Credentials{Secret: seal.NewSecret(renewed)}})
	must(t, err)
	if n := h.number(`select count(*) from integration where substring(secret_box for 3) <> '\x020132'`); n != 0 || r.seals != 2 {
		t.Errorf("%d secrets are on the old key after %d sealings", n, r.seals)
	}
	dropped, err := h.store.DropReplacedDataKeys(t.Context())
	must(t, err)
	if checks, err := links.Validate(t.Context(), h.tenant, i.PublicID); err != nil || dropped != 1 {
		t.Errorf("%d dropped, %+v %v", dropped, checks, err)
	}
}
