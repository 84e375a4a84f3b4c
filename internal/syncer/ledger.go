package syncer

import (
	"fmt"

	"pgp.internal/defender/internal/fault"
)

// Ledger is what a stage's figures are held against: open findings as the counters of the assets have them, which no figure
// of the run goes into, and what the reading itself counted.
type Ledger struct {
	OpenBefore int64 // open findings of the integration before the run
	OpenAfter  int64 // and after it
	Present    int64 // findings that a whole reading has, and those that came back without having been read
	Back       int64 // of Updated: out of scope before, and open again
	StillOut   int64 // of Updated: out of scope still, for another reason, or gone meanwhile; the stage assets has this figure alone
	Corrected  int64 // open findings that only wrong counters had, or had not, until a full run set them right
}

// unbalanced is the fault of figures that do not add up: records were lost, counted twice, or stored otherwise than told.
func unbalanced(stage Stage, format string, args ...any) error {
	return fault.Newf(fault.CodeLedgerUnbalanced, "stage %s: %s", stage, fmt.Sprintf(format, args...))
}

// balance checks that every record that was read was either taken or skipped for a reason.
func (r *StageReport) balance() error {
	var skipped int64
	for _, n := range r.SkippedBy {
		skipped += n
	}
	c := r.Counts
	if c.Fetched != c.Accepted+c.Skipped || c.Skipped != skipped {
		return unbalanced(r.Name, "%d records were read, %d taken and %d skipped, of which %d have a reason", c.Fetched, c.Accepted, c.Skipped, skipped)
	}
	if min(c.Accepted, c.Created, c.Updated, c.Unchanged, c.Fixed, c.Reopened, c.OutOfScope, c.Removed) < 0 {
		return unbalanced(r.Name, "a figure is negative: %+v", c)
	}
	return nil
}

// balanceRows checks that each row of a whole report that was taken is behind a finding: read back for its asset just now, or known
// by the sum of its asset's rows. A row that was taken and is of no asset shows. Changes tell a row several times, or nothing new.
func (r *StageReport) balanceRows(stored int64) error {
	if r.Counts.Accepted != stored {
		return unbalanced(r.Name, "%d rows were taken, and the findings of the assets are made of %d", r.Counts.Accepted, stored)
	}
	return nil
}

// settled checks besides that what was taken of machines and catalogue entries is stored.
func (r *StageReport) settled() error {
	c := r.Counts
	if taken := c.Updated - r.Ledger.StillOut; r.Name != StageVulnerabilities && c.Accepted != c.Created+taken+c.Unchanged {
		return unbalanced(r.Name, "%d records were taken, and %d created, %d updated, %d unchanged", c.Accepted, c.Created, taken, c.Unchanged)
	}
	return r.balance()
}

// balance checks what applying machines did: each of those that were accepted went one way, and the open findings fell by those
// that left with their assets. A recount may follow that sets wrong counters right; until then they prove nothing.
func (c *MachineChanges) balance(accepted int64, recount bool) error {
	went := c.Created + c.Updated + c.Unchanged + c.OverQuota + c.CarrierFree
	if went != accepted || min(c.Created, c.Updated, c.Unchanged, c.OverQuota, c.CarrierFree) < 0 {
		return unbalanced(StageAssets, "%d machines were accepted, and %d created, %d updated, %d unchanged, %d over the quota, %d without findings",
			accepted, c.Created, c.Updated, c.Unchanged, c.OverQuota, c.CarrierFree)
	}
	if after := c.OpenBefore - c.Withdrawn; after != c.OpenAfter && !recount {
		return unbalanced(StageAssets, "%d findings were open and %d left with their assets, yet %d are open", c.OpenBefore, c.Withdrawn, c.OpenAfter)
	}
	return nil
}

// balance checks what applying findings did. Of a reading of changes alone nobody knows how many findings it should have.
func (c *FindingChanges) balance(o *ApplyFindings, recount bool) error {
	after := c.OpenBefore + c.Created + c.Reopened + c.Back - c.Fixed - c.OutOfScope + c.Corrected
	if closed := o.CloseReason != ""; after != c.OpenAfter && (!closed || !recount) {
		return unbalanced(StageVulnerabilities, "%d findings were open, %d created, %d reopened, %d came back, %d fixed, %d went out of scope, yet %d are open",
			c.OpenBefore, c.Created, c.Reopened, c.Back, c.Fixed, c.OutOfScope, c.OpenAfter)
	}
	if c.Miscounted > 0 {
		return unbalanced(StageVulnerabilities, "%d assets have other findings than were read of them", c.Miscounted)
	}
	present := c.Created + c.Updated - c.StillOut - c.BackUnread + c.Reopened + c.Unchanged
	if whole := !o.Changes && o.CloseReason == ""; whole && present != o.Present {
		return unbalanced(StageVulnerabilities, "%d findings were read, and %d created, %d updated, %d reopened, %d unchanged",
			o.Present, c.Created, c.Updated-c.StillOut-c.BackUnread, c.Reopened, c.Unchanged)
	}
	return nil
}

// ledger spans the whole run: what was open before it includes the findings that left with their assets.
func (e *execution) ledger(c *FindingChanges, present int64) Ledger {
	return Ledger{
		OpenBefore: e.openBefore, OpenAfter: c.OpenAfter, Present: present + c.BackUnread, Back: c.Back, StillOut: c.StillOut,
		Corrected: c.Corrected + c.OpenBefore - (e.openBefore - e.withdrawn),
	}
}

// balanced checks all stages once the run is through: a later one may have corrected what an earlier one had booked.
func (r *Report) balanced() error {
	for i := range r.Stages {
		if err := r.Stages[i].settled(); err != nil {
			return err
		}
	}
	return nil
}
