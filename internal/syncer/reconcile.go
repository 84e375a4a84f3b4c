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
	Equal           int64 // of these, with as many open findings as Defender counts machines
	Explained       int64 // with a difference that what was left out accounts for
	Unexplained     int64 // with any other
	Exposed         int64 // machines, summed over the vulnerabilities
	Open            int64 // findings
	Differences     []Difference
}

// Difference is a vulnerability of which Defender counts other machines than there are open findings.
type Difference struct {
	Vulnerability string
	Exposed       int64                      // machines by Defender's count
	Open          int64                      // findings
	NotImported   map[inventory.Reason]int64 // machines with rows of it that are no assets, or stale ones without an open finding of it
	Refused       map[inventory.Reason]int64 // rows of it on assets
	Missing       int64                      // open findings of it on assets that were not listed
	Uncatalogued  bool                       // Defender's catalogue does not have it
	Unexplained   int64                      // machines that none of these accounts for; negative when there are more findings
}

// NotListed is why a machine is not imported that has rows in the report and is in no list of machines.
const NotListed inventory.Reason = "not_listed"

// maxDifferences bounds what is kept of the differences, those first that nothing accounts for.
const maxDifferences = 200

// walkExposedEvery is how often the whole catalogue is read for Defender's counts where it refuses to tell them alone: some
// tens of calls.
const walkExposedEvery = 7 * 24 * time.Hour

// Holdings are the totals of what is stored of an integration.
type Holdings struct {
	Assets map[inventory.AssetState]int64
	Open   map[string]int64 // findings by vulnerability
	Stale  map[string]int64 // those of Open on stale assets
	// Missing are those of Open on assets that the last complete list did not have, MissingAssets is how many assets that are.
	Missing       map[string]int64
	MissingAssets int64
	// Partial are vulnerabilities with open findings that the catalogue does not have, so that Defender counts no machines of them.
	Partial map[string]bool
}

// reconcile asks for Defender's own counts and holds what is stored against them. That they are not to be had fails no run.
func (e *execution) reconcile(ctx context.Context, c *census, merged map[mergedRow]struct{}) error {
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
		if !last.IsZero() {
			return nil
		}
	}
	held, err := e.store.Holdings(ctx, e.run.Tenant, e.run.IntegrationID)
	if err != nil {
		return err
	}
	r := Reconciliation{Run: e.run.PublicID, TakenAt: e.now(), Assets: held.Assets, Missing: held.MissingAssets}
	if told != nil {
		r.Unavailable = fault.As(told).Code
	} else {
		r.compare(exposed, &held, e.skipped.byVulnerability(c, merged))
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
		d := Difference{Vulnerability: name, Exposed: machines, Open: held.Open[name], Missing: held.Missing[name], Uncatalogued: held.Partial[name] && machines == 0}
		r.Vulnerabilities++
		r.Exposed, r.Open = r.Exposed+d.Exposed, r.Open+d.Open
		if d.Exposed == d.Open {
			r.Equal++
			continue
		}
		if l := left[name]; l != nil {
			d.NotImported, d.Refused = l.machines, l.rows
			if kept := held.Stale[name]; kept > 0 { // their findings are open, too
				d.NotImported[inventory.Stale] = max(0, d.NotImported[inventory.Stale]-kept)
			}
		}
		d.explain()
		if d.Unexplained == 0 {
			r.Explained++
		} else {
			r.Unexplained++
		}
		r.Differences = append(r.Differences, d)
	}
	slices.SortFunc(r.Differences, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(magnitude(b.Unexplained), magnitude(a.Unexplained)), cmp.Compare(b.Exposed-b.Open, a.Exposed-a.Open),
			cmp.Compare(a.Vulnerability, b.Vulnerability))
	})
	r.Differences = slices.Clone(r.Differences[:min(len(r.Differences), maxDifferences)])
}

// explain takes off what was left out: of the machines all, since Defender counts them; of refused rows up to as many as there
// are, since several may be of one machine, and some of a machine that has other rows which count. Findings of machines that were
// not listed make up for as many as there are more of: Defender may count those machines no more.
func (d *Difference) explain() {
	if d.Uncatalogued {
		return
	}
	d.Unexplained = d.Exposed - d.Open
	for _, rule := range []map[inventory.Reason]int64{d.NotImported, d.Refused} {
		for _, n := range rule {
			d.Unexplained -= max(0, min(d.Unexplained, n))
		}
	}
	d.Unexplained += max(0, min(-d.Unexplained, d.Missing))
}

func magnitude(n int64) int64 { return max(n, -n) }

// leftOut is what was skipped of the rows of a vulnerability.
type leftOut struct {
	machines map[inventory.Reason]int64 // not imported, by the reason of the machine
	rows     map[inventory.Reason]int64
}

// byVulnerability sums up what was left out, merged machines included: their rows count for others, but Defender counts the machines.
func (l *skipList) byVulnerability(c *census, merged map[mergedRow]struct{}) map[string]*leftOut {
	all := map[string]*leftOut{}
	of := func(name string) *leftOut {
		if all[name] == nil {
			all[name] = &leftOut{machines: map[inventory.Reason]int64{}, rows: map[inventory.Reason]int64{}}
		}
		return all[name]
	}
	for row := range merged {
		of(row.vulnerability).machines[inventory.Merged]++
	}
	for key, n := range l.rows {
		out := of(l.names[key.vulnerability])
		if key.machine != "" {
			out.machines[c.whyNot(key.machine)]++
		} else {
			out.rows[inventory.RowReasonOf(key.reason)] += n
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
