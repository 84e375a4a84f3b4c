package syncer

import (
	"context"
	"errors"
	"hash/maphash"
	"strings"

	"pgp.internal/defender/internal/inventory"
)

// pass is one reading of the vulnerability report. Row order does not matter: what an asset has is summed up in a hash
// that does not depend on it.
type pass struct {
	*execution
	report *StageReport
	census *census
	judge  *inventory.Judge

	poor   bool // the rows tell no times, places or updates, and some may be missing
	rows   *spool
	places *locations

	sums     []RowSum // by machine index
	lastSeen []int64  // by machine index, Unix seconds
	taken    []int32  // by machine index: accepted rows of a whole reading

	names        *numbering
	seed         maphash.Seed
	advice       [4]hashedText       // of the previous row's recommendation
	remediations map[uint64]struct{} // hashes of what was staged already
	pending      []StagedRemediation
	lastID       string // of the previous row: rows of one machine mostly come together
	lastIndex    int32
	lastRecord   int32 // of the row's own record, if the machine has several; else -1

	ambiguous bool // see lose

	merged map[mergedRow]struct{} // vulnerabilities of records whose rows count together
}

// mergedRow is a vulnerability that a record of a merged machine has, the machine's own record included.
type mergedRow struct {
	vulnerability   int32
	machine, record int32
}

// maxMergedRows bounds what is remembered of merged machines; beyond it the reconciliation does not account for more.
const maxMergedRows = 400_000

// maxRemediations bounds what is remembered of recommendations, 8 bytes each.
const maxRemediations = 1 << 20

func newPass(e *execution, r *StageReport, c *census, changes bool) (*pass, error) {
	p := &pass{
		execution: e, report: r, census: c, judge: c.judge,
		sums: make([]RowSum, len(c.entries)), lastSeen: make([]int64, len(c.entries)), taken: make([]int32, len(c.entries)),
		names: newNumbering(e.store), seed: maphash.MakeSeed(), remediations: map[uint64]struct{}{}, lastIndex: -1,
		merged: map[mergedRow]struct{}{},
	}
	rows, err := e.spoolFile(e.options.SpoolDir)
	if err != nil {
		return nil, err
	}
	p.rows = newSpool(rows, len(c.entries), changes)
	places, err := e.spoolFile(e.options.SpoolDir)
	if err != nil {
		return nil, errors.Join(err, p.rows.close())
	}
	p.places = newLocations(places)
	return p, nil
}

func (p *pass) close() error { return errors.Join(p.rows.close(), p.places.close()) }

// take judges a batch of rows and spools those that may matter.
func (p *pass) take(ctx context.Context, rows []inventory.Row) error {
	named, err := p.names.resolve(ctx, rows)
	if err != nil {
		return err
	}
	judge := p.row
	if p.rows.changes {
		judge = p.change
	}
	for i := range rows {
		if err := judge(&rows[i], named[i]); err != nil {
			return err
		}
	}
	p.report.publish()
	if len(p.pending) < stageBatch {
		return nil
	}
	return p.flushRemediations(ctx)
}

func (p *pass) row(r *inventory.Row, n named) error {
	machine := p.machineOf(r, n)
	if machine < 0 {
		return nil
	}
	p.find(r, n)
	row, reason := p.judged(machine, r, n)
	if reason != inventory.Accepted {
		p.skip(reason, r, n, "")
		row.reason = inventory.RowReasonCode(reason)
		p.sums[machine].add(&row)
		if !p.mayHaveFinding(machine) {
			return nil
		}
		// Remembered, so that an open finding ends as "no longer taken" and not as "fixed".
		return p.rows.add(&row)
	}
	p.report.Counts.Accepted++
	p.taken[machine]++
	n.vulnerability.taken = true
	p.noteMerged(machine, n.vulnerability)
	p.recommend(&row, r)
	var err error
	if row.location, err = p.places.number(r); err != nil {
		return err
	}
	p.sums[machine].add(&row)
	return p.rows.add(&row)
}

// noteMerged remembers which records of a merged machine have a vulnerability: Defender counts each of them.
func (p *pass) noteMerged(machine int32, v *knownVulnerability) {
	if p.lastRecord >= 0 && len(p.merged) < maxMergedRows {
		p.skipped.names[v.id] = v.name
		p.merged[mergedRow{v.id, machine, p.lastRecord}] = struct{}{}
	}
}

// machineOf counts a row and finds its machine; -1 when the row is skipped.
func (p *pass) machineOf(r *inventory.Row, n named) int32 {
	p.report.Counts.Fetched++
	if r.CVE == "" {
		p.skip(inventory.CVEMissing, r, n, "")
		return -1
	}
	if r.MachineID != p.lastID || p.lastIndex < 0 {
		p.lastID, p.lastIndex = strings.Clone(r.MachineID), p.census.find(r.MachineID)
		if p.lastRecord = -1; p.lastIndex >= 0 {
			if own, _ := p.census.byID.find(r.MachineID); own != p.lastIndex || p.census.shared(own) {
				p.lastRecord = own
			}
		}
	}
	machine := p.lastIndex
	if machine < 0 || (p.census.assets != nil && p.census.assets[machine] < 0) {
		p.skip(inventory.AssetNotImported, r, n, p.lastID)
		return -1
	}
	if at := r.LastSeen.Unix(); !r.LastSeen.IsZero() && at > p.lastSeen[machine] {
		p.lastSeen[machine] = at
	}
	return machine
}

// judged is the row as it is spooled, but for its place.
func (p *pass) judged(machine int32, r *inventory.Row, n named) (spooledRow, inventory.Reason) {
	verdict, reason := p.judge.Row(n.vulnerability.traits, r)
	return spooledRow{
		machine: machine, software: n.software.id, vulnerability: n.vulnerability.id, severity: verdict.Severity, source: verdict.Source,
		vector: verdict.Vector, firstSeen: unix32(r.FirstSeen),
	}, reason
}

// mayHaveFinding tells whether the machine's asset has findings stored that a refusal matters to. Before the assets are
// known it may.
func (p *pass) mayHaveFinding(machine int32) bool {
	if p.census.assets == nil {
		return true
	}
	asset := &p.census.known[p.census.assets[machine]]
	return asset.Findings > 0 || asset.Dormant || !asset.Fresh
}

// skip books a row that is left out, and lists it with the others of its vulnerability, and of the machine if one is named.
func (p *pass) skip(reason inventory.Reason, r *inventory.Row, n named, machine string) {
	p.skipped.row(reason, n.vulnerability, machine)
	p.report.skip(reason, func() Sample {
		return Sample{SourceID: strings.Clone(r.MachineID), Name: strings.Clone(r.CVE), Detail: Software{r.Vendor, r.Product, r.Version}.detail()}
	})
}

// carriers lists the machines with at least one accepted row.
func (p *pass) carriers() []int32 {
	var list []int32
	for machine, rows := range p.taken {
		if rows > 0 {
			list = append(list, int32(machine))
		}
	}
	return list
}

// recommend stages a recommendation once, however many machines repeat it.
func (p *pass) recommend(row *spooledRow, r *inventory.Row) {
	if r.UpdateText == "" && r.UpdateID == "" && r.UpdateURL == "" && r.UpdateReady == nil && r.Exploitability == "" {
		return
	}
	h := p.recommendationHash(row, r)
	if _, seen := p.remediations[h]; seen {
		return
	}
	if len(p.remediations) == maxRemediations {
		clear(p.remediations) // the database takes a repeated one
	}
	p.remediations[h] = struct{}{}
	recommendation := StagedRemediation{
		Software: row.software, Vulnerability: row.vulnerability, Text: strings.Clone(r.UpdateText), ID: strings.Clone(r.UpdateID),
		URL: strings.Clone(r.UpdateURL), Exploitability: strings.Clone(r.Exploitability), ChangedAt: row.changedAt,
	}
	if r.UpdateReady != nil {
		value := *r.UpdateReady
		recommendation.Ready = &value
	}
	p.pending = append(p.pending, recommendation)
}

// recommendationHash is of this process alone, which is quicker than a digest.
func (p *pass) recommendationHash(row *spooledRow, r *inventory.Row) uint64 {
	h := uint64(row.software)<<32 | uint64(uint32(row.vulnerability)) ^ uint64(row.changedAt)*0xD6E8FEB86659FD93
	if r.UpdateReady != nil {
		h ^= 1 << 31
		if *r.UpdateReady {
			h ^= 1 << 63
		}
	}
	for i, text := range [...]string{r.UpdateText, r.UpdateID, r.UpdateURL, r.Exploitability} {
		h = h*0x9E3779B97F4A7C15 + p.advice[i].of(p.seed, text)
	}
	return h
}

// hashedText keeps the hash of a text until another one comes: rows of one software mostly repeat theirs.
type hashedText struct {
	text string
	sum  uint64
}

func (h *hashedText) of(seed maphash.Seed, text string) uint64 {
	if h.sum == 0 || text != h.text {
		h.text, h.sum = strings.Clone(text), maphash.String(seed, text)
	}
	return h.sum
}

func (p *pass) flushRemediations(ctx context.Context) error {
	if len(p.pending) == 0 {
		return nil
	}
	err := p.stage.AddRemediations(ctx, p.pending)
	p.pending = p.pending[:0]
	return err
}
