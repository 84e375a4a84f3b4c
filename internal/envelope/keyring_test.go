package envelope_test

import (
	"errors"
	"testing"

	"pgp.internal/defender/internal/envelope"
	"pgp.internal/defender/internal/seal"
)

// TestAKeyringGoesByTheKeyThatWrapped asks for what one key wrapped under the name of another one of the same keyring.
func TestAKeyringGoesByTheKeyThatWrapped(t *testing.T) {
	t.Parallel()
	old, young := seal.NewKey().Reveal(), seal.NewKey().Reveal()
	both := newRing(t, young, old)
	const place = "tenant/1/data_key/1"
	name, wrapped, err := envelope.Keyring(newRing(t, old)).Wrap(t.Context(), seal.NewSecret("a data key"), place)
	must(t, err)
	if got, err := envelope.Keyring(both).Unwrap(t.Context(), name, wrapped, place); err != nil || got.Reveal() != "a data key" {
		t.Errorf("by its own name: %v", err)
	}
	other := envelope.KeyringPrefix + both.IDs()[0]
	if _, err := envelope.Keyring(both).Unwrap(t.Context(), other, wrapped, place); other == name || !errors.Is(err, seal.ErrUnreadable) {
		t.Errorf("of %s by the name of %s: %v", name, other, err)
	}
}
