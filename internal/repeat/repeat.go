// Package repeat is what is remembered of a request with an Idempotency-Key, so that its repetition does nothing a second time.
package repeat

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/tenant"
)

// KeepFor is how long a request is remembered at least; after that its key begins anew.
const KeepFor = 24 * time.Hour

// Attempt is one try to carry out a request.
type Attempt struct {
	Tenant   tenant.ID         // 0 for the platform's own
	Name     [sha256.Size]byte // who asks, and by which key
	Request  [sha256.Size]byte // what is asked
	Holder   uuid.UUID         // tells tries of one name apart
	Within   time.Duration     // how long it may take; then another try may take its place
	Keepsake []byte            // sealed: what the answer has to show and nothing else keeps; stored with the change itself
}

// Memory is what an earlier try left behind.
type Memory struct {
	Request  [sha256.Size]byte
	Made     string // public id of what it changed; empty as long as it changed nothing
	Keepsake []byte
	Answer   []byte        // sealed; empty if the process ended before it was kept
	HeldFor  time.Duration // how long the try has the name, if it changes nothing
}

// Done tells whether the request has been carried out.
func (m Memory) Done() bool { return m.Made != "" }

type attemptKey struct{}

// With lets the change that is made under the context be remembered, in its own transaction, as that of the attempt.
func With(ctx context.Context, a *Attempt) context.Context {
	return context.WithValue(ctx, attemptKey{}, a)
}

// Of is the attempt of the context; nil if there is none.
func Of(ctx context.Context) *Attempt {
	a, _ := ctx.Value(attemptKey{}).(*Attempt)
	return a
}
