package syncer

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/tenant"
)

// CredentialStore is what looking after stored credentials needs of the database. Any number of processes may ask at once.
type CredentialStore interface {
	// PassExpiries gives the secrets that passed one of [connector.ExpiryThresholds] since that was told last, each to one
	// caller once.
	PassExpiries(ctx context.Context, now time.Time) ([]Expiry, error)
	// ClaimRechecks gives up to n integrations whose credentials have not been tried for a day, or for an hour when somebody has
	// to mend them, each to one caller. Paused and disconnected ones are left alone.
	ClaimRechecks(ctx context.Context, now time.Time, n int) ([]Recheck, error)
}

// Recheck is an integration whose credentials are to be tried.
type Recheck struct {
	Tenant       tenant.ID
	TenantPublic uuid.UUID
	Integration  uuid.UUID
}

// Validator checks stored credentials and makes what it finds the integration's state; [connector.Service] is one.
type Validator interface {
	Validate(ctx context.Context, t tenant.ID, id uuid.UUID) ([]connector.Check, error)
}

// Expiry is a secret that has passed a threshold.
type Expiry struct {
	TenantPublic uuid.UUID
	Integration  uuid.UUID
	ExpiresAt    time.Time
	Threshold    int // days; 0 when it has expired
}

const (
	// watchEvery is how often it is looked for credentials that need attention.
	watchEvery = 15 * time.Second
	// rechecksPerLook bounds how many are tried at once, and with that in a day: 23,000 by each process.
	rechecksPerLook = 4
	// recheckWithin bounds one of them: the live checks and what is stored of them.
	recheckWithin = connector.CheckBudget + 10*time.Second
)

// CredentialWatch looks after stored credentials while nobody does: it tells which ones expire, and tries them now and then as
// Validate does, so that a broken link is found, or a mended one taken up, without a run.
type CredentialWatch struct {
	store     CredentialStore
	validator Validator
	now       func() time.Time
	log       *slog.Logger

	cancel context.CancelFunc
	ended  chan struct{}
}

// NewCredentialWatch prepares a watch; nothing happens before Start.
func NewCredentialWatch(store CredentialStore, v Validator, log *slog.Logger, now func() time.Time) *CredentialWatch {
	return &CredentialWatch{store: store, validator: v, now: now, log: log, ended: make(chan struct{})}
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
	return errors.Join(w.tellExpiries(ctx), w.recheck(ctx))
}

// recheck tries what is due, all at once, and waits for that.
func (w *CredentialWatch) recheck(ctx context.Context) error {
	due, err := w.store.ClaimRechecks(ctx, w.now(), rechecksPerLook)
	var group sync.WaitGroup
	for _, r := range due {
		group.Go(func() { w.try(ctx, r) })
	}
	group.Wait()
	return err
}

func (w *CredentialWatch) try(ctx context.Context, r Recheck) {
	limited, cancel := context.WithTimeout(ctx, recheckWithin)
	defer cancel()
	log := w.log.With("tenant", tenant.PublicText(tenant.TenantPrefix, r.TenantPublic), "integration", tenant.PublicText(tenant.IntegrationPrefix, r.Integration))
	checks, err := w.validator.Validate(limited, r.Tenant, r.Integration)
	switch {
	case ctx.Err() != nil, fault.Is(err, fault.CodeConflict), fault.Is(err, fault.CodeNotFound): // this process ends, or the integration did
	case err != nil:
		log.Error("stored credentials could not be checked", "code", fault.As(err).Code, "error", err)
	default:
		if refused := connector.Refusal(checks); refused != nil {
			log.Warn("stored credentials were checked and do not work", "code", fault.As(refused).Code)
		}
	}
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
