// Package job runs claimed work once and knows what its ending means.
//
// The database is the queue; this package holds the loop around it. A job is claimed with a lease that the engine extends
// while the handler works. A worker that died loses its lease and the job starts elsewhere; its fence number, which grows
// with every claim, keeps the old holder from writing afterwards.
package job

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/tenant"
)

// Kind names a sort of work.
type Kind string

// Kinds of work.
const (
	Sync     Kind = "sync"
	Purge    Kind = "purge"
	Offboard Kind = "offboard" // of a tenant that is being deleted; it has no run
)

// Job is one piece of claimed work.
type Job struct {
	ID           int64
	Tenant       tenant.ID
	TenantPublic uuid.UUID // for the log
	Kind         Kind
	Subject      uuid.UUID // public id of the run, or of the tenant to off-board
	RunID        int64     // 0 without a run
	Attempt      int       // 1 at the first claim; being handed back at a shutdown does not count
	Last         bool      // there is no further attempt: what stops this one is to be recorded
	Ended        string    // the code by which the attempt before this one failed; empty when there was none, or its process died
	Fence        int64     // proves the claim in every write
	Rows         int64     // of its source's report that it is known to read; 0 while nobody knows
	Large        Large     // the rule of the process that holds the claim
}

// Named makes a logger name the job's tenant and run as the API does.
func (j Job) Named(log *slog.Logger) *slog.Logger {
	log = log.With("tenant", tenant.PublicText(tenant.TenantPrefix, j.TenantPublic))
	if j.Kind == Offboard {
		return log
	}
	return log.With("run", tenant.PublicText(tenant.RunPrefix, j.Subject))
}

// Ending is what a handler says about its job.
type Ending int

// Endings. Failures that a user should see are recorded on the run and end as Done: the queue retries only what no
// record can explain, such as a lost database.
const (
	Done     Ending = iota // finished, whatever the result; forget the job
	Retry                  // try again after a back-off; costs an attempt
	HandBack               // the process is stopping, or has no place for a large job: available at once, costs no attempt
	Snooze                 // wait for something that is on its way; costs no attempt
	Gone                   // finished, and the job went with what it was about: nothing is left to record
)

// Outcome is an ending with its time.
type Outcome struct {
	Ending Ending
	After  time.Duration // for Retry and Snooze
	Code   string        // a fault code, for Retry
}

// Handler does the work of one kind.
type Handler interface {
	// Handle works until done or until ctx ends; context.Cause tells ErrCancelled, ErrLeaseLost and ErrStopping apart.
	Handle(ctx context.Context, j Job) Outcome
	// Abandon records the end of a job that was claimed more often than allowed without ending: its process died each
	// time, or it panicked.
	Abandon(ctx context.Context, j Job) error
}

// Why a handler's context ended.
var (
	ErrCancelled = errors.New("cancelled on request")
	ErrLeaseLost = errors.New("the lease was lost to another worker")
	ErrStopping  = errors.New("the process is stopping")
)

// ErrTimedOut is in the chain of a store's error when the database was there and broke a statement off: it took longer than a statement
// may, or an operator ended it. It may well take as long the next time, so an attempt that ends with it counts.
var ErrTimedOut = errors.New("the database broke a statement off")

// CodeOf is the code by which a failed attempt is kept with its job.
func CodeOf(err error) string {
	if errors.Is(err, ErrTimedOut) {
		return fault.CodeDatabaseTimeout
	}
	return fault.As(err).Code
}

// Queue is the store behind the engine.
type Queue interface {
	// Claim takes as many due jobs as there is room for, expired leases included. Like Extend it never outlasts ctx.
	Claim(ctx context.Context, r Room, lease time.Duration) ([]Job, error)
	// Extend prolongs the lease; cancel tells that somebody wants the job to end. It returns ErrLeaseLost if the claim
	// is no longer this one.
	Extend(ctx context.Context, j Job, lease time.Duration) (cancel bool, err error)
	// Finish applies the outcome if the claim is still this one, and returns ErrLeaseLost if not.
	Finish(ctx context.Context, j Job, o Outcome) error
	// Bury sets a job aside for good: visible and countable, never claimed again.
	Bury(ctx context.Context, j Job) error
}
