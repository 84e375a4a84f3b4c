package httpapi

import (
	"errors"
	"testing"

	"pgp.internal/defender/internal/repeat"
	"pgp.internal/defender/internal/seal"
)

// TestAKeptAnswerOpensForItsRequestAlone tries to open what is kept with all but one of: the service's key, the Idempotency-Key, the
// tenant, and the name, which holds the credential.
func TestAKeptAnswerOpensForItsRequestAlone(t *testing.T) {
	t.Parallel()
	ours, others := &server{Deps: Deps{CursorKey: []byte("one")}}, &server{Deps: Deps{CursorKey: []byte("two")}}
	a, elsewhere, another := &repeat.Attempt{Tenant: 7, Name: [32]byte{1}}, &repeat.Attempt{Tenant: 8, Name: [32]byte{1}}, &repeat.Attempt{Tenant: 7, Name: [32]byte{2}}
	box, err := ours.answerSeal("key", a).close("answer")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := ours.answerSeal("key", a).open(box); err != nil || text != "answer" {
		t.Errorf("its own: %q, %v", text, err)
	}
	for name, s := range map[string]answerSeal{
		"another key of the service": others.answerSeal("key", a), "another Idempotency-Key": ours.answerSeal("kez", a),
		"another tenant": ours.answerSeal("key", elsewhere), "another credential": ours.answerSeal("key", another),
	} {
		if text, err := s.open(box); !errors.Is(err, seal.ErrUnreadable) {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}
