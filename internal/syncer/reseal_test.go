package syncer_test

import (
	"testing"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/seal"
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
	done, err := connector.Reseal(t.Context(), h.store, both, 1)
	must(t, err)
	keys, err := h.store.SealingKeys(t.Context())
	must(t, err)
	if done.Done != 2 || len(done.Unreadable) > 0 || len(keys) != 1 || keys[both.IDs()[0]] != 2 {
		t.Fatalf("%+v, keys in use %v", done, keys)
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
