package syncer

import (
	"context"
	"errors"
	"fmt"

	"pgp.internal/defender/internal/inventory"
)

// readChanges reads what became of the report's rows since the plan's time.
func (e *execution) readChanges(ctx context.Context, r *StageReport, c *census, plan Plan) (*pass, error) {
	p, err := newPass(e, r, c, true)
	if err != nil {
		return nil, err
	}
	if err = e.source.Changes(ctx, plan.Since, func(rows []inventory.Row) error { return p.take(ctx, rows) }); err == nil {
		err = p.unsettled()
	}
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// allow lets a plan stand unless an asset needs rows that changes do not tell: it came into scope, or back into it, after
// the last reading, while its rows had been in the report before; or the rows of a merged machine move.
func (c *census) allow(p Plan, known Reading) Plan {
	if !p.Changes {
		return p
	}
	if known.MergedSum != sumOf(c.mergers()) {
		return Plan{Why: "machines were merged, or are no more, and changes do not tell the rows that move with them"}
	}
	n := 0
	for i := range c.known {
		a := &c.known[i]
		if a.Dormant || a.Fresh && a.FirstSeenAt < p.Since.Unix() {
			n++
		}
	}
	if n == 0 {
		return p
	}
	return Plan{Why: fmt.Sprintf("%d assets came into scope, or back into the list, since it was read last, and changes tell nothing of their older rows", n)}
}

// errAmbiguous is what a reading of changes ends with when one of several machines that were merged into one asset has lost a
// row: whether another of them has the same one is not told. What a whole reading has settled is not met again; see SettledLoss.
var errAmbiguous = errors.New("syncer: a machine of a merged asset has lost rows")

// change spools what became of a row. One that is refused now counts as gone, for the reason of its refusal.
func (p *pass) change(r *inventory.Row, n named) error {
	machine := p.machineOf(r, n)
	if machine < 0 {
		return nil
	}
	row, reason := p.judged(machine, r, n)
	if p.census.shared(machine) {
		switch settled := p.settled(r, n); {
		case settled:
			p.passOver(r, n, reason)
			return nil
		case r.Change == inventory.RowFixed:
			p.lose(r, n)
			p.passOver(r, n, reason)
			return nil
		case p.mayLose(n, reason):
			return errAmbiguous
		}
	}
	row.gone, row.changedAt = r.Change == inventory.RowFixed, unix32(r.ChangedAt)
	if reason != inventory.Accepted {
		p.skip(reason, r, n, "")
		if !p.mayHaveFinding(machine) {
			return nil
		}
		if !row.gone {
			row.reason = inventory.RowReasonCode(reason)
		}
		row.gone = true
		return p.rows.add(&row)
	}
	p.report.Counts.Accepted++
	if row.gone {
		return p.rows.add(&row)
	}
	p.recommend(&row, r)
	var err error
	if row.location, err = p.places.number(r); err != nil {
		return err
	}
	return p.rows.add(&row)
}

// passOver books a row that tells nothing new.
func (p *pass) passOver(r *inventory.Row, n named, reason inventory.Reason) {
	if reason != inventory.Accepted {
		p.skip(reason, r, n, "")
		return
	}
	p.report.Counts.Accepted++
}

// mayLose tells whether a row that is there may be one that counted and does so no more, while others of its vulnerability may.
func (p *pass) mayLose(n named, reason inventory.Reason) bool {
	_, told := p.judge.AnyRow(n.vulnerability.traits)
	return reason != inventory.Accepted && !told
}

// changeStaging hands the changes to the database, asset by asset.
type changeStaging struct {
	*pass
	needed    neededPlaces
	changes   []StagedChange
	assets    []StagedAsset
	installed []StagedInstallation
}

// stageReportChanges reads the spooled changes back and stages the newest of each row.
func (p *pass) stageReportChanges(ctx context.Context) (ApplyFindings, error) {
	apply := ApplyFindings{Now: p.now(), Changes: true}
	if err := p.flushRemediations(ctx); err != nil {
		return apply, err
	}
	for position := range p.census.known {
		asset := &p.census.known[position]
		apply.Open += asset.Findings
		if at := p.lastSeen[asset.Index]; at != 0 {
			apply.LastSeen = append(apply.LastSeen, SeenAsset{asset.ID, at})
		}
	}
	s := &changeStaging{pass: p}
	err := p.rows.each(s.wanted, func(machine int32, rows []spooledRow) error { return s.machine(ctx, machine, rows) })
	if err == nil {
		err = s.flush(ctx)
	}
	if err == nil {
		err = p.locate(ctx, &s.needed)
	}
	return apply, err
}

func (s *changeStaging) wanted(machine int32) bool {
	return int(machine) < len(s.census.assets) && s.census.assets[machine] >= 0
}

// machine groups the changes of one machine by vulnerability. Its sums say nothing any more: the next whole report is
// compared with what is stored.
func (s *changeStaging) machine(ctx context.Context, machine int32, rows []spooledRow) error {
	asset := s.census.known[s.census.assets[machine]].ID
	s.assets = append(s.assets, StagedAsset{AssetID: asset, Uncompared: true})
	installed := StagedInstallation{AssetID: asset}
	for from := 0; from < len(rows); {
		to := from + 1
		for to < len(rows) && rows[to].vulnerability == rows[from].vulnerability {
			to++
		}
		s.changes = append(s.changes, changeOf(asset, rows[from:to], &installed))
		from = to
	}
	for _, location := range installed.Locations {
		s.needed.add(location)
	}
	if len(installed.Software) > 0 {
		s.installed = append(s.installed, installed)
	}
	if len(s.changes) < stageBatch {
		return nil
	}
	return s.flush(ctx)
}

// changeOf sums up the changes of one vulnerability, which are in order: of each software the last one counts.
func changeOf(asset int64, rows []spooledRow, installed *StagedInstallation) StagedChange {
	c := StagedChange{StagedFinding: StagedFinding{AssetID: asset, Vulnerability: rows[0].vulnerability}}
	for i := range rows {
		r := &rows[i]
		if i+1 < len(rows) && rows[i+1].software == r.software {
			continue
		}
		if r.gone {
			c.Gone = append(c.Gone, r.software)
			if r.reason != 0 && (c.Reason == 0 || r.reason < c.Reason) {
				c.Reason = r.reason
			}
			continue
		}
		if len(c.Software) == 0 {
			c.Severity, c.Source, c.Vector, c.FirstSeen = r.severity, r.source, r.vector, r.firstSeen
		} else {
			c.merge(r)
		}
		c.Software = append(c.Software, r.software)
		if r.location != 0 {
			installed.Software, installed.Locations = append(installed.Software, r.software), append(installed.Locations, r.location)
		}
	}
	return c
}

func (s *changeStaging) flush(ctx context.Context) error {
	err := s.stage.AddChanges(ctx, s.now(), s.changes)
	if err == nil {
		err = s.stage.AddChangedAssets(ctx, s.assets)
	}
	if err == nil {
		err = s.stage.AddInstallations(ctx, s.installed)
	}
	s.changes, s.assets, s.installed = s.changes[:0], s.assets[:0], s.installed[:0]
	return err
}
