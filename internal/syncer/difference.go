package syncer

import "pgp.internal/defender/internal/inventory"

// Difference is a vulnerability of which Defender counts other machines than there are open findings, or should. Exposed is
// Open, what was left out (NotImported, and of Refused as many as there are machines with nothing else), less what was kept
// (Missing, Stale, Held), and Unexplained.
type Difference struct {
	Vulnerability string
	Exposed       int64 // machines by Defender's count
	Open          int64 // findings
	Reasons
	Uncatalogued bool  // Defender's catalogue does not have it
	Unexplained  int64 // machines that none of these accounts for; negative when there are more findings
}

// Reasons are why there are other open findings than Defender counts machines.
type Reasons struct {
	NotImported map[inventory.Reason]int64 // machines with rows that are no assets, without those whose findings are kept open
	Refused     map[inventory.Reason]int64 // rows on assets
	Missing     int64                      // open findings on assets that were not listed, and have no such rows any more
	Stale       int64                      // open findings on stale assets, kept as they were, that have no such rows any more
	Held        int64                      // open findings that a drop was to close, of findings or of assets, which is held back
}

// add sums up what others account for.
func (r *Reasons) add(o *Reasons) {
	r.Missing, r.Stale, r.Held = r.Missing+o.Missing, r.Stale+o.Stale, r.Held+o.Held
	r.NotImported, r.Refused = sum(r.NotImported, o.NotImported), sum(r.Refused, o.Refused)
}

// sum adds counts to others, which it changes.
func sum(to, counts map[inventory.Reason]int64) map[inventory.Reason]int64 {
	if to == nil {
		to = make(map[inventory.Reason]int64, len(counts))
	}
	for reason, n := range counts {
		to[reason] += n
	}
	return to
}

// difference holds what is stored of a vulnerability against so many machines.
func (h *Holdings) difference(name string, machines int64, left *leftOut) Difference {
	d := Difference{
		Vulnerability: name, Exposed: machines, Open: h.Open[name], Uncatalogued: h.Partial[name] && machines == 0,
		Reasons: Reasons{Missing: h.Kept[KeptMissing][name], Stale: h.Kept[KeptStale][name], Held: h.Kept[KeptHeld][name] + h.Withheld[name]},
	}
	if left != nil {
		d.NotImported, d.Refused = left.machines, left.rows
	}
	if !d.Uncatalogued {
		d.explain(h.Refused[name], left != nil && left.refused)
	}
	d.cancel(&d.Missing, NotListed)
	d.cancel(&d.Stale, inventory.Stale)
	if h.unasked {
		d.cancel(&d.Stale, NotListed)
	}
	return d
}

// explain takes off the machines that were left out, all of which Defender counts, and puts back the findings that were kept, whether
// the machine has rows still, which makes it one of those, or not. Machines of refused rows it takes off up to as many as there are
// rows, since several may be of one machine, and some of a machine that has other rows which count; but at least one row each is
// of the refused findings that are held back, which are open. If all rows were refused, no other finding should be open, and none
// makes up for a machine.
func (d *Difference) explain(heldRefused int64, allRefused bool) {
	kept := d.Missing + d.Stale + d.Held
	machines, refused, wrong := d.Exposed-d.Open+kept, -heldRefused, int64(0)
	for _, n := range d.NotImported {
		machines -= n
	}
	for _, n := range d.Refused {
		refused += n
	}
	if allRefused {
		wrong = d.Open - kept - heldRefused
	}
	machines += wrong
	d.Unexplained = machines - max(0, min(machines, refused)) - wrong
}

// cancel drops findings that are kept against the machines that were left out for the same reason: they have both, and make no difference.
func (d *Difference) cancel(kept *int64, reason inventory.Reason) {
	if both := min(*kept, d.NotImported[reason]); both > 0 {
		*kept -= both
		if d.NotImported[reason] -= both; d.NotImported[reason] == 0 {
			delete(d.NotImported, reason)
		}
	}
}

func magnitude(n int64) int64 { return max(n, -n) }
