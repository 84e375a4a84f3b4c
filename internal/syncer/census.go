package syncer

import (
	"context"
	"fmt"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
)

// census remembers of every machine record of a run just what its rows need: about 70 bytes per machine.
type census struct {
	judge   *inventory.Judge
	skipped *skipList
	byID    machineIndex
	merges  map[int32]string // by index: the survivor of a merged record
	several map[int32]bool   // by index: others were merged into it; set by shared
	entries []entry
	assets  []int32 // by index: position of the asset in known, or -1; set by settle
	known   []KnownAsset
}

type entry struct {
	reason   inventory.Reason
	lastSeen int64
}

func newCensus(judge *inventory.Judge, skipped *skipList) *census {
	return &census{judge: judge, skipped: skipped, byID: newMachineIndex(), merges: map[int32]string{}}
}

// assets reads all machines and, while their import is on, applies them at once. With asset import off they wait for the
// rows, because only machines with findings are taken then.
func (e *execution) assets(ctx context.Context, r *StageReport, c *census) error {
	var staged []StagedMachine
	since := e.options.Report.machinesSince(e.known, e.run.Mode, e.settings, e.now())
	if e.partial = !since.IsZero(); e.partial {
		r.Partial, r.TotalEstimate = true, 0 // nobody knows
	}
	err := e.source.Machines(ctx, since, func(page []inventory.Machine) error {
		staged = staged[:0]
		for i := range page {
			if m, ok := c.take(&page[i], r); ok {
				staged = append(staged, m)
			}
		}
		r.publish()
		if err := e.weigh(ctx, r.Counts.Fetched); err != nil {
			return err
		}
		return e.stage.AddMachines(ctx, staged)
	})
	if err != nil {
		return err
	}
	e.unread += e.setAside(r)
	if err := r.balance(); err != nil {
		return err
	}
	if !e.settings.ImportAssets {
		return nil
	}
	return e.applyMachines(ctx, r, c, ApplyMachines{MaxAssets: e.maxAssets, Partial: e.partial})
}

// applyMachines makes the assets current and learns their numbers.
func (e *execution) applyMachines(ctx context.Context, r *StageReport, c *census, o ApplyMachines) error {
	o.Incomplete, o.Removal, o.Now = e.unread > 0, e.options.Removal, e.now()
	o.Rejudged = !e.known.judgedBy(e.settings, inventory.Settings.SameMachines)
	accepted := r.Counts.Accepted
	o.Confirm = func(c *MachineChanges) error { return c.balance(accepted, e.run.Mode == Full) }
	changes, err := e.stage.ApplyMachines(ctx, o)
	if err != nil {
		return err
	}
	e.applied(StageAssets)
	r.Counts.Created, r.Counts.Updated, r.Counts.Unchanged = changes.Created, changes.Updated+changes.StillOut, changes.Unchanged
	r.Counts.OutOfScope, r.Counts.Removed, r.Ledger.StillOut = changes.OutOfScope, changes.Removed, changes.StillOut
	e.withdrawn += changes.Withdrawn
	e.openBefore = changes.OpenBefore
	c.settle(changes.Assets)
	c.ration(changes.OverQuotaMachines)
	if o.Partial {
		c.remember(e.known.Merged)
	}
	e.held(changes.Held, "assets")
	r.Held, r.Missing = changes.Held, changes.Missing
	e.leaveOut(r, changes.OverQuota, changes.OverQuotaNamed, inventory.QuotaExceeded, fmt.Sprintf("the subscription allows %d assets", o.MaxAssets))
	if changes.OverQuota > 0 {
		e.warn(fault.Newf(fault.CodeQuotaExceeded, "%d machines were left out; the subscription allows %d assets", changes.OverQuota, o.MaxAssets))
	}
	e.leaveOut(r, changes.CarrierFree, changes.CarrierFreeNamed, inventory.ImportAssetsOff, carrierFree)
	return nil
}

// leaveOut moves n machines from the accepted to the skipped ones; those that are named are listed by name.
func (e *execution) leaveOut(r *StageReport, n int64, named []Sample, reason inventory.Reason, why string) {
	r.Counts.Accepted -= n
	for i := range n {
		s := Sample{Detail: why}
		if i < int64(len(named)) {
			s.SourceID, s.Name = named[i].SourceID, clip(named[i].Name)
		}
		r.skip(reason, func() Sample { return s })
		e.skipped.machine(-1, reason, s)
	}
}

// take judges one record. It returns false when nothing has to be staged: the record has no id, or it repeats a machine
// with an older or equal time.
func (c *census) take(m *inventory.Machine, r *StageReport) (StagedMachine, bool) {
	r.Counts.Fetched++
	id := inventory.CanonicalID(m.SourceID)
	asset, reason, detail := c.judge.Machine(m)
	sample := Sample{SourceID: id, Name: clip(m.DNSName), Detail: detail}
	if reason == inventory.IDMissing {
		c.skip(r, -1, reason, sample)
		return StagedMachine{}, false
	}
	index, repeated := c.byID.find(id)
	if repeated {
		c.skip(r, -1, inventory.Duplicate, Sample{SourceID: id, Name: sample.Name, Detail: "reported more than once; the newest record counts"})
		earlier := &c.entries[index]
		if m.LastSeen.Unix() <= earlier.lastSeen {
			return StagedMachine{}, false
		}
		// The newer record counts in place of the earlier one.
		if earlier.reason == inventory.Accepted {
			r.Counts.Accepted--
		} else {
			r.unskip(earlier.reason)
			c.skipped.takeBack(index, earlier.reason)
		}
	} else {
		index = int32(len(c.entries))
		c.byID.add(id, index)
		c.entries = append(c.entries, entry{})
	}
	c.entries[index] = entry{reason: reason, lastSeen: m.LastSeen.Unix()}
	staged := StagedMachine{Index: index, SourceID: id, Reason: reason}
	if reason != inventory.Accepted {
		c.skip(r, index, reason, sample)
		if reason == inventory.Merged {
			staged.Survivor = inventory.CanonicalID(m.MergedInto)
			c.merges[index] = staged.Survivor
		}
		return staged, true
	}
	r.Counts.Accepted++
	asset.SourceID = id
	staged.Asset = &asset
	return staged, true
}

// skip books a machine that is left out, and lists it.
func (c *census) skip(r *StageReport, index int32, reason inventory.Reason, s Sample) {
	r.skip(reason, func() Sample { return s })
	c.skipped.machine(index, reason, s)
}

// settle notes which machines are assets now, those included that the list did not hold because only some were asked for.
func (c *census) settle(known []KnownAsset) {
	for i := range known {
		if a := &known[i]; a.SourceID != "" {
			a.Index = int32(len(c.entries))
			c.byID.add(a.SourceID, a.Index)
			c.entries = append(c.entries, entry{})
			a.SourceID = ""
		}
	}
	c.known = known
	c.assets = make([]int32, len(c.entries))
	for i := range c.assets {
		c.assets[i] = -1
	}
	for position := range known {
		c.assets[known[position].Index] = int32(position)
	}
}

// ration notes which machines there is no room for.
func (c *census) ration(machines []int32) {
	for _, machine := range machines {
		c.entries[machine].reason = inventory.QuotaExceeded
	}
}

// remember adds merged records that were not asked for. It is called after settle.
func (c *census) remember(merged map[string]string) {
	for id, survivor := range merged {
		if _, known := c.byID.find(id); !known {
			index := int32(len(c.entries))
			c.byID.add(id, index)
			c.merges[index] = survivor
			c.entries = append(c.entries, entry{reason: inventory.Merged})
			c.assets = append(c.assets, -1)
		}
	}
}

// mergers are the merged records and what they were merged into.
func (c *census) mergers() map[string]string {
	list := map[string]string{}
	if len(c.merges) == 0 {
		return list
	}
	for id, index := range c.byID.all() {
		if c.entries[index].reason == inventory.Merged {
			list[id] = c.merges[index]
		}
	}
	return list
}

// shared tells whether the rows of several machines count for this one.
func (c *census) shared(machine int32) bool {
	if c.several == nil {
		c.several = map[int32]bool{}
		for index, survivor := range c.merges {
			if c.entries[index].reason == inventory.Merged {
				c.several[c.find(survivor)] = true
			}
		}
	}
	return c.several[machine]
}

// find leads from a machine id of a row to the machine that counts, following merges to their end. It returns -1 when
// there is none: unknown, skipped, or merged in a circle.
func (c *census) find(machineID string) int32 {
	index, ok := c.byID.find(machineID)
	if !ok {
		return -1
	}
	for range len(c.entries) {
		switch c.entries[index].reason {
		case inventory.Accepted:
			return index
		case inventory.Merged:
			if index, ok = c.byID.find(c.merges[index]); !ok {
				return -1
			}
		default:
			return -1
		}
	}
	return -1
}

// clip bounds a text from the source for a sample.
func clip(s string) string {
	const most = 100
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return s
}
