package syncer

import "pgp.internal/defender/internal/inventory"

// leaveOutRationed books the rows of machines that the quota has no room for among carriers as what they are wherever asset import
// is on: rows of no asset, whatever else is to be said of them. They were judged before, because it is the rows that make a carrier.
// It takes the memory of one bucket of the spool, and of ids for as many machines as may be listed.
func (p *pass) leaveOutRationed() error {
	ids := p.census.rationed()
	if len(ids) == 0 {
		return nil
	}
	known := p.names.vulnerabilitiesByID()
	out := func(machine int32) bool {
		return int(machine) < len(p.census.entries) && p.census.entries[machine].reason == inventory.QuotaExceeded
	}
	err := p.rows.look(out, func(machine int32, rows []spooledRow) error {
		for i := range rows {
			p.leaveOutRow(&rows[i], known[rows[i].vulnerability], ids[machine])
		}
		return nil
	})
	p.skipped.dropEmpty()
	return err
}

// leaveOutRow moves a spooled row to those that are none of an asset.
func (p *pass) leaveOutRow(row *spooledRow, v *knownVulnerability, machine string) {
	if row.reason == 0 {
		p.report.Counts.Accepted--
	} else {
		p.report.unskip(inventory.RowReasonOf(row.reason))
		p.skipped.takeBackRow(row.reason, row.vulnerability)
	}
	p.skipped.row(inventory.AssetNotImported, v, machine)
	p.report.skip(inventory.AssetNotImported, func() Sample {
		s := Sample{SourceID: machine, Detail: p.names.softwareNamed(row.software).detail()}
		if v != nil {
			s.Name = v.name
		}
		return s
	})
}

// rationed are the source ids, by index, of the machines that there was no room for: of the first ones, whose rows fill the list of
// what was skipped. The lines behind it name no machine.
func (c *census) rationed() map[int32]string {
	ids := map[int32]string{}
	for index := range c.entries {
		if c.entries[index].reason == inventory.QuotaExceeded && len(ids) < maxSkippedRows {
			ids[int32(index)] = ""
		}
	}
	if len(ids) == 0 {
		return nil
	}
	for id, index := range c.byID.all() {
		if _, out := ids[index]; out {
			ids[index] = id
		}
	}
	return ids
}
