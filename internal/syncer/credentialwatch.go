package syncer

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/tenant"
)

// CredentialStore is what looking after stored credentials needs of the database. Any number of processes may ask at once.
type CredentialStore interface {
	// PassExpiries gives the secrets that passed one of [connector.ExpiryThresholds] since that was told last, each to one
	// caller once.
	PassExpiries(ctx context.Context, now time.Time) ([]Expiry, error)
}

// Expiry is a secret that has passed a threshold.
type Expiry struct {
	TenantPublic uuid.UUID
	Integration  uuid.UUID
	ExpiresAt    time.Time
	Threshold    int // days; 0 when it has expired
}

// watchEvery is how often it is looked for credentials that need attention.
const watchEvery = 15 * time.Second

// CredentialWatch looks after stored credentials while nobody does.
type CredentialWatch struct {
	store CredentialStore
	now   func() time.Time
	log   *slog.Logger

	cancel context.CancelFunc
	ended  chan struct{}
}

// NewCredentialWatch prepares a watch; nothing happens before Start.
func NewCredentialWatch(store CredentialStore, log *slog.Logger, now func() time.Time) *CredentialWatch {
	return &CredentialWatch{store: store, now: now, log: log, ended: make(chan struct{})}
}

// Start looks in the background, at once and then regularly, and returns. It may be called once.
func (w *CredentialWatch) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	go w.run(ctx)
}

// Stop ends a look in progress and waits for that, at most until ctx ends.
func (w *CredentialWatch) Stop(ctx context.Context) error {
	w.cancel()
	select {
	case <-w.ended:
		return nil
	case <-ctx.Done():
		return errors.New("the watch over credentials did not stop in time")
	}
}

func (w *CredentialWatch) run(ctx context.Context) {
	defer close(w.ended)
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for failing := false; ctx.Err() == nil; {
		err := w.Look(ctx)
		if err != nil && !failing && ctx.Err() == nil { // once per outage
			w.log.Warn("cannot look after stored credentials", "code", fault.As(err).Code, "error", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// Look does once what the watch is for.
func (w *CredentialWatch) Look(ctx context.Context) error {
	return w.tellExpiries(ctx)
}

// tellExpiries writes one line for each threshold that a secret has passed.
func (w *CredentialWatch) tellExpiries(ctx context.Context) error {
	passed, err := w.store.PassExpiries(ctx, w.now())
	for _, e := range passed {
		text := "a stored secret expires soon"
		if e.Threshold == 0 {
			text = "a stored secret has expired"
		}
		w.log.Warn(text, "tenant", tenant.PublicText(tenant.TenantPrefix, e.TenantPublic),
			"integration", tenant.PublicText(tenant.IntegrationPrefix, e.Integration), "within_days", e.Threshold, "expires_at", e.ExpiresAt)
	}
	return err
}
