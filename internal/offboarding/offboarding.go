// Package offboarding deletes what is left of a tenant that is to go, to the last row, and leaves the proof.
package offboarding

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/pagelog"
	"pgp.internal/defender/internal/tenant"
)

// Store is what the deletion needs of the database.
type Store interface {
	IntegrationIDs(ctx context.Context, t tenant.ID) ([]uuid.UUID, error)
	// PurgeTenant deletes everything, at last the tenant and the job, and records the proof. It goes on where it was interrupted, and
	// fails with [job.ErrLeaseLost] when the job's claim is no longer the caller's. It returns how many rows there were, by table.
	PurgeTenant(ctx context.Context, j job.Job) (map[string]int64, error)
}

// Handler carries out off-boarding jobs.
type Handler struct {
	store    Store
	spoolDir string
	log      *slog.Logger
}

// New makes a handler; spoolDir is where imports keep the pages they read, empty for the system's temporary directory.
func New(store Store, spoolDir string, log *slog.Logger) *Handler {
	return &Handler{store: store, spoolDir: spoolDir, log: log}
}

// actor answers for the end of a tenant; who asked for it is recorded with the request.
var actor = audit.Actor{Kind: audit.System, Name: "off-boarding"}

// busyFor is how long to wait for what another part of the service still holds.
const busyFor = 10 * time.Second

// Handle deletes the tenant of the job.
func (h *Handler) Handle(ctx context.Context, j job.Job) job.Outcome {
	log := j.Named(h.log)
	rows, err := h.delete(audit.WithActor(ctx, actor), j)
	cause := context.Cause(ctx)
	switch {
	case err == nil:
		log.Info("a tenant was deleted", "rows", rows)
		return job.Outcome{Ending: job.Gone}
	case errors.Is(err, job.ErrLeaseLost), errors.Is(cause, job.ErrLeaseLost), errors.Is(cause, job.ErrStopping):
		return job.Outcome{Ending: job.HandBack}
	case errors.Is(err, pagelog.ErrBusy):
		return job.Outcome{Ending: job.Snooze, After: busyFor}
	case fault.Is(err, fault.CodeUnavailable) && !errors.Is(err, job.ErrTimedOut):
		log.Warn("the deletion of a tenant was interrupted and will go on", "error", err)
		return job.Outcome{Ending: job.Snooze, After: max(busyFor, fault.As(err).RetryAfter)}
	}
	log.Error("the deletion of a tenant failed", "error", err)
	return job.Outcome{Ending: job.Retry, After: job.Backoff(j.Attempt), Code: job.CodeOf(err)}
}

// delete begins with the pages that this machine keeps of the tenant's imports, while it is known which these are. Other machines
// sweep theirs away by age.
func (h *Handler) delete(ctx context.Context, j job.Job) (map[string]int64, error) {
	ids, err := h.store.IntegrationIDs(ctx, j.Tenant)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if err := pagelog.Discard(h.spoolDir, tenant.PublicText(tenant.IntegrationPrefix, id)); err != nil {
			return nil, err
		}
	}
	return h.store.PurgeTenant(ctx, j)
}

// Abandon has nothing to record: the tenant stays as it is, being deleted, and the scheduler queues the rest again.
func (h *Handler) Abandon(_ context.Context, j job.Job) error {
	j.Named(h.log).Error("the deletion of a tenant was set aside; it is tried again in an hour")
	return nil
}
