package syncer

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
)

// Reconciliation holds what is stored of an integration against Defender's own totals, as they stood at the end of a run that
// read the whole report.
type Reconciliation struct {
	Run         uuid.UUID
	TakenAt     time.Time
	Listed      int64 // machine records that Defender listed
	Accepted    int64
	Skipped     map[inventory.Reason]int64
	Assets      map[inventory.AssetState]int64
	Missing     int64  // of these, not listed: kept until more runs have missed them
	Unavailable string // code of the fault for which Defender's counts by vulnerability are missing; empty when they are there

	Vulnerabilities int64 // that Defender counts machines of, or that have open findings
	Equal           int64 // of these, with as many open findings as Defender counts machines, and nothing that says there should be others
	Explained       int64 // with a difference that what was left out and what was kept account for
	Unexplained     int64 // with any other
	Exposed         int64 // machines, summed over the vulnerabilities
	Open            int64 // findings
	Sum             Reasons
	Uncatalogued    int64 // open findings of vulnerabilities that Defender's catalogue does not have, which are in no other sum but Open
	Unaccounted     int64 // machines and findings that nothing accounts for, whichever there is more of, summed over the vulnerabilities
	Differences     []Difference
	Omitted         int64 // differences beyond those
}

// NotListed is why a machine is not imported that has rows in the report and is in no list of machines.
const NotListed inventory.Reason = "not_listed"

// mostWaitForCounts is the most that the next import waits because Microsoft is not to be asked for its counts: they are worth no more to anybody.
const mostWaitForCounts = time.Hour

// maxDifferences bounds what is kept of the differences, those first that nothing accounts for, then the largest.
const maxDifferences = 200

// walkExposedEvery is how often the whole catalogue is read for Defender's counts where it refuses to tell them alone: some
// tens of calls.
const walkExposedEvery = 7 * 24 * time.Hour

// Holdings are the totals of what is stored of an integration when a run has applied what it read. Of the open findings those are
// told apart that stand for no row that was taken: what was kept, in one of four ways each.
type Holdings struct {
	Assets        map[inventory.AssetState]int64
	MissingAssets int64            // that the last complete list did not have
	Open          map[string]int64 // findings by vulnerability
	// Kept are those of Open on assets that no row was looked at for: in no list, stale, or held back when they were to leave.
	Kept map[Keeping]map[string]int64
	// Withheld are those of Open on assets in scope that are held back for the drop of findings they belong to: without a row, and
	// Refused, whose rows are all refused now.
	Withheld, Refused map[string]int64
	// Partial are vulnerabilities with open findings that the catalogue does not have, so that Defender counts no machines of them.
	Partial map[string]bool

	unasked bool // only machines were listed that reported lately: the rows of stale ones are of machines that were not
}

// Keeping is why an asset keeps its findings, as far as the settings take them, though its machine does not count.
type Keeping string

const (
	KeptMissing Keeping = "missing" // not listed, and not often enough yet to be removed, or held back with others
	KeptStale   Keeping = "stale"   // not seen for long
	KeptHeld    Keeping = "held"    // listed and refused, and held back with others
)

// reconcile asks for Defender's own counts and holds what is stored against them. That they are not to be had fails no run.
func (e *execution) reconcile(ctx context.Context, p *pass) error {
	last, err := e.store.LastReconciled(ctx, e.run.Tenant, e.run.IntegrationID)
	if err != nil {
		return err
	}
	exposed := map[string]int64{}
	told := e.source.Exposed(ctx, e.now().Sub(last) >= walkExposedEvery, func(page []connector.Exposure) error {
		for _, x := range page {
			if x.Machines > 0 {
				exposed[x.Vulnerability] = x.Machines
			}
		}
		return nil
	})
	if errors.Is(told, connector.ErrNotTold) {
		return nil // the reconciliation of the last walk stands
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if told != nil {
		e.log.Warn("Defender's own counts could not be read; nothing is compared with them", "error", told)
		if f := fault.As(told); f.Asked {
			e.waitUntil = e.now().Add(min(f.RetryAfter, mostWaitForCounts))
		}
		if !last.IsZero() {
			return nil
		}
	}
	held, err := e.stage.Holdings(ctx)
	if err != nil {
		return err
	}
	held.unasked = e.partial
	r := Reconciliation{Run: e.run.PublicID, TakenAt: e.now(), Assets: held.Assets, Missing: held.MissingAssets}
	if told != nil {
		r.Unavailable = fault.As(told).Code
	} else {
		r.compare(exposed, &held, p.leftOut())
	}
	e.reconciled = &r
	return nil
}

// compare goes through all vulnerabilities that either side knows.
func (r *Reconciliation) compare(exposed map[string]int64, held *Holdings, left map[string]*leftOut) {
	for name := range held.Open {
		if _, told := exposed[name]; !told {
			exposed[name] = 0
		}
	}
	for name, machines := range exposed {
		d := held.difference(name, machines, left[name])
		r.Vulnerabilities++
		r.add(&d)
		switch {
		case d.Unexplained != 0:
			r.Unexplained++
		case d.Exposed == d.Open:
			r.Equal++
			continue
		default:
			r.Explained++
		}
		r.Differences = append(r.Differences, d)
	}
	slices.SortFunc(r.Differences, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(magnitude(b.Unexplained), magnitude(a.Unexplained)), cmp.Compare(magnitude(b.Exposed-b.Open), magnitude(a.Exposed-a.Open)),
			cmp.Compare(a.Vulnerability, b.Vulnerability))
	})
	listed := min(len(r.Differences), maxDifferences)
	r.Omitted = int64(len(r.Differences) - listed)
	r.Differences = slices.Clone(r.Differences[:listed])
}

// add puts what is known of a vulnerability into the sums.
func (r *Reconciliation) add(d *Difference) {
	r.Exposed, r.Open, r.Unaccounted = r.Exposed+d.Exposed, r.Open+d.Open, r.Unaccounted+magnitude(d.Unexplained)
	if d.Uncatalogued {
		r.Uncatalogued += d.Open
		return
	}
	r.Sum.add(&d.Reasons)
}

// leftOut is what was skipped of the rows of a vulnerability.
type leftOut struct {
	machines map[inventory.Reason]int64 // not imported, by the reason of the machine
	rows     map[inventory.Reason]int64
	refused  bool // all rows of assets
}

// leftOut sums up what was left out by vulnerability, merged machines included: of records whose rows count together Defender counts each, and
// one of them is the asset, or the machine that was left out.
func (p *pass) leftOut() map[string]*leftOut {
	all := map[string]*leftOut{}
	of := func(vulnerability int32) *leftOut {
		name := p.skipped.names[vulnerability]
		if all[name] == nil {
			all[name] = &leftOut{machines: map[inventory.Reason]int64{}, rows: map[inventory.Reason]int64{}, refused: p.names.refused(name)}
		}
		return all[name]
	}
	counted := map[mergedRow]struct{}{} // without their record
	for row := range p.merged {
		row.record = 0
		if _, again := counted[row]; again {
			of(row.vulnerability).machines[inventory.Merged]++
		}
		counted[row] = struct{}{}
	}
	for key, n := range p.skipped.rows {
		if key.machine != "" {
			of(key.vulnerability).machines[p.census.whyNot(key.machine)]++
		} else {
			of(key.vulnerability).rows[inventory.RowReasonOf(key.reason)] += n
		}
	}
	return all
}

// whyNot tells why a machine of a row is no asset.
func (c *census) whyNot(machine string) inventory.Reason {
	index, listed := c.byID.find(machine)
	switch {
	case !listed:
		return NotListed
	case c.entries[index].reason == inventory.Accepted:
		return inventory.AssetNotImported // asset import is off
	}
	return c.entries[index].reason
}

// of adds what the stage of the assets has in the end.
func (r *Reconciliation) of(assets *StageReport) *Reconciliation {
	if r == nil {
		return nil
	}
	r.Listed, r.Accepted, r.Skipped = assets.Counts.Fetched, assets.Counts.Accepted, maps.Clone(assets.SkippedBy)
	return r
}
