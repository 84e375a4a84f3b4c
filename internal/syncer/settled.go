package syncer

import (
	"pgp.internal/defender/internal/inventory"
)

// lostRow is a row of one record of several that were merged into one asset.
type lostRow struct {
	Machine       string // source id of the record
	Vulnerability int32
	Software      int32
}

// SettledLoss is a row that a merged record has lost, and that the last whole reading did not find any more: changes up to then say
// nothing new of it, however often they are told.
type SettledLoss struct {
	Machine       string `json:"machine"`
	Vulnerability int32  `json:"vulnerability"`
	Software      int32  `json:"software"`
	At            int64  `json:"at"` // Unix seconds, by Microsoft's clock
}

// maxSettled bounds what is remembered of lost rows; with more of them each reading of changes that meets one becomes a whole one.
const maxSettled = 1000

// expectLosses begins with the losses that earlier readings settled.
func (e *execution) expectLosses(known Reading) {
	e.lost = make(map[lostRow]int64, len(known.Settled))
	for _, l := range known.Settled {
		e.lost[lostRow{l.Machine, l.Vulnerability, l.Software}] = l.At
	}
}

func rowOf(r *inventory.Row, n named) lostRow {
	return lostRow{inventory.CanonicalID(r.MachineID), n.vulnerability.id, n.software.id}
}

// settled tells whether a change of a merged record's row came before the loss that a whole reading has shown. What appeared at
// the very time of the loss is there.
func (p *pass) settled(r *inventory.Row, n named) bool {
	if len(p.lost) == 0 {
		return false
	}
	at, known := p.lost[rowOf(r, n)]
	when := r.ChangedAt.Unix()
	return known && (when < at || when == at && r.Change == inventory.RowFixed)
}

// lose notes a loss that only a whole reading can tell the meaning of.
func (p *pass) lose(r *inventory.Row, n named) {
	key := rowOf(r, n)
	p.lost[key] = max(p.lost[key], r.ChangedAt.Unix())
	p.ambiguous = true
}

// find takes a row that a whole report has, of whatever age it is, off the losses that it settles.
func (p *pass) find(r *inventory.Row, n named) {
	if len(p.lost) > 0 {
		delete(p.lost, rowOf(r, n))
	}
}

// settledLosses are what to remember of them: what a reading of changes may still tell. A reading that was not complete settles nothing.
func (e *execution) settledLosses(o *outset, complete bool) (list []SettledLoss) {
	if !o.plan.Changes && !complete || len(e.lost) > maxSettled {
		return nil
	}
	since := o.began.Add(-2 * e.options.Report.Overlap).Unix()
	for row, at := range e.lost {
		if at > since {
			list = append(list, SettledLoss{row.Machine, row.Vulnerability, row.Software, at})
		}
	}
	return list
}

// unsettled is how a reading of changes ends that met losses; the others are known by then.
func (p *pass) unsettled() error {
	if p.ambiguous {
		return errAmbiguous
	}
	return nil
}
