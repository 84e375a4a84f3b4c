package syncer

import (
	"context"
	"errors"
	"time"

	"pgp.internal/defender/internal/inventory"
)

// catalogueBatch is how many entries are stored in one statement.
const catalogueBatch = 1000

// cataloguePoll is how often to look whether somebody else has finished the first read.
const cataloguePoll = 500 * time.Millisecond

// catalogueAgeInFull is how old the catalogue may be for a full run that somebody starts, who expects it to bring whatever Microsoft has. What changed is
// asked for in a call or two.
const catalogueAgeInFull = time.Minute

// catalogue brings the shared catalogue up to date, unless it is fresh enough or another run is at it. What it could not read
// makes nothing count as missing; it is read for again.
func (e *execution) catalogue(ctx context.Context, r *StageReport) (err error) {
	turn, err := e.awaitTurn(ctx)
	r.CatalogueAt = turn.ReadAt
	if err != nil || !turn.Read {
		return err
	}
	complete := false
	defer func() {
		// Given back also when the run was cancelled, so that others need not wait for the lease.
		done, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, e.store.EndCatalogue(done, e.job, e.integration.Kind, turn, complete))
	}()
	err = e.source.Catalogue(ctx, turn.Since, func(page []inventory.Vulnerability) error {
		for len(page) > 0 {
			n := min(len(page), catalogueBatch)
			if err := e.putVulnerabilities(ctx, r, page[:n]); err != nil {
				return err
			}
			page = page[n:]
		}
		return nil
	})
	turn.Unread = e.setAside(r)
	e.gaps += turn.Unread
	if err == nil {
		err = r.settled()
	}
	if complete = err == nil; complete {
		r.CatalogueAt = turn.StartedAt
	}
	return err
}

func (e *execution) putVulnerabilities(ctx context.Context, r *StageReport, entries []inventory.Vulnerability) error {
	for i := range entries {
		entries[i].Name = vulnerabilityName(entries[i].Name)
	}
	created, updated, err := e.store.PutVulnerabilities(ctx, e.now(), entries)
	if err != nil {
		return err
	}
	n := int64(len(entries))
	r.Counts.Fetched += n
	r.Counts.Accepted += n
	r.Counts.Created += created
	r.Counts.Updated += updated
	r.Counts.Unchanged += n - created - updated
	r.publish()
	return nil
}

// awaitTurn asks for the reading, and waits while somebody else makes the very first one: without any catalogue no row
// can be judged.
func (e *execution) awaitTurn(ctx context.Context) (CatalogueTurn, error) {
	tick := time.NewTicker(cataloguePoll)
	defer tick.Stop()
	policy := e.options.Catalogue
	policy.GapsAtOnce = e.run.Trigger == ByHand // whoever starts a run expects it to try what the last one could not read
	if e.run.Trigger == ByHand && e.run.Mode == Full {
		policy.MaxAge = min(policy.MaxAge, catalogueAgeInFull)
	}
	for {
		turn, err := e.store.BeginCatalogue(ctx, e.job, e.integration.Kind, policy)
		if err != nil || !turn.Wait {
			return turn, err
		}
		select {
		case <-ctx.Done():
			return turn, context.Cause(ctx)
		case <-tick.C:
		}
	}
}
