package defender

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
)

// Rows implements connector.Source. Rows are handed over while their page is still being read, one batch while the next is
// filled, by a goroutine that ends before Rows does; the batch and the slices in it are used again. A page that breaks off is read again and the rows handed over already are left
// out, so no row comes twice because of a fault on the way. That rests on the chain of pages belonging to one snapshot of
// the report: if the page turns out to differ, or Microsoft ends the chain, Rows fails with upstream_unavailable and the
// report has to be read again from the start. An export file is set aside instead, and counted as lost.
func (s *source) Rows(ctx context.Context, via connector.Via, yield func([]inventory.Row) error) error {
	switch via {
	case connector.ViaFiles:
		return toldFault(closed(s.rowsFromFiles(ctx, yield)))
	case connector.ViaMapping:
		return toldFault(s.report(ctx, EndpointMapping, pathMapping, yield))
	}
	return toldFault(closed(s.report(ctx, EndpointRows, pathRows+"?pageSize="+strconv.Itoa(s.conn.cfg.Pages.Rows), yield)))
}

// closed marks the refusals that speak of the route and not of the caller: routes were seen to vanish for hours.
func closed(err error) error {
	var f *failure
	if !errors.As(err, &f) || f.page > 1 {
		return err
	}
	switch f.status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone, http.StatusNotImplemented:
		marked := *f
		told := *f.fault
		marked.fault = fault.Wrap(errors.Join(connector.ErrWayClosed, f.origin), told.Code, told.Detail)
		marked.fault.Cause, marked.fault.Remedy, marked.fault.RetryAfter, marked.fault.Asked = told.Cause, told.Remedy, told.RetryAfter, told.Asked
		return &marked
	}
	return err
}

// report reads a list of rows, from its first page on.
func (s *source) report(ctx context.Context, e Endpoint, first string, yield func([]inventory.Row) error) error {
	p := newRowPages(s.conn.cfg.Pages.Batch, yield)
	defer p.relay.close() // should reading panic
	p.report = s.malformed(e)
	err := s.walk(ctx, e, s.conn.api+first, s.conn.cfg.Pages.MaxRowsBytes, p)
	if consumed := p.relay.end(); err == nil {
		err = consumed
	}
	return err
}

type rowPages struct {
	scan      *scanner
	record    record[inventory.Row]
	relay     *relay[inventory.Row]
	batch     []inventory.Row // being filled; its whole length is used again and again
	filled    int
	paths     int // bytes of the paths of the filled part
	malformed int
	report    func(malformed int)
	lines     bool // the page is no list, but rows one behind the other

	seen, again int       // rows of the present page that were read, and how many had been handed over before
	identity    *identity // of the rows of the present page that were read
	delivered   int       // rows of the present page that were handed over
	digest      uint64    // of the identity of those rows
}

// newRowPages starts a relay, which has to be ended.
func newRowPages(batch int, yield func([]inventory.Row) error) *rowPages {
	forgetful := func(rows []inventory.Row) error {
		err := yield(rows)
		for i := range rows { // or long paths would stay with their rows until these are filled again
			clear(rows[i].DiskPaths)
			clear(rows[i].RegistryPaths)
		}
		return err
	}
	return &rowPages{
		scan: newScanner(), record: record[inventory.Row]{fields: rowFields()},
		relay: newRelay(batch, forgetful), report: func(int) {}, identity: newIdentity(),
	}
}

var errPageChanged = errors.New("the page differs from what was read of it before")

func (p *rowPages) read(b *body) (next string, records int, err error) {
	p.identity.restart()
	p.again, p.seen = p.delivered, 0
	p.filled, p.paths, p.malformed = 0, 0, 0
	if err := p.room(); err != nil {
		return "", 0, err
	}
	if p.lines {
		err = p.scan.lines(b, p.take)
	} else {
		next, err = p.scan.list(b, p.take)
	}
	if err == nil && p.seen < p.again {
		err = pageChanged()
	}
	if err == nil {
		err = p.hand()
	}
	return next, p.seen + p.malformed, err
}

// take reads a row.
func (p *rowPages) take() error {
	row := p.slot()
	if !p.record.read(p.scan, row) {
		p.malformed++
		return nil
	}
	p.identity.add(row)
	if p.seen++; p.seen <= p.again {
		if p.seen == p.again && p.identity.sum != p.digest {
			return pageChanged()
		}
		return nil
	}
	p.filled++
	p.paths += bytesOf(row.DiskPaths) + bytesOf(row.RegistryPaths)
	if p.filled == len(p.batch) || p.paths >= mostPaths {
		return p.hand()
	}
	return nil
}

// mostPaths is how many bytes of paths make a batch full, however few its rows: one row may have two megabytes of them.
const mostPaths = 4 << 20

func bytesOf(texts []string) (n int) {
	for _, t := range texts {
		n += len(t)
	}
	return n
}

// room makes sure that there is a batch to fill.
func (p *rowPages) room() (err error) {
	if p.batch == nil {
		p.batch, err = p.relay.next()
	}
	return err
}

// hand gives the filled part of the batch away and gets another one. What was given away is counted before the consumer's
// answer: its error ends the walk in any case.
func (p *rowPages) hand() error {
	n := p.filled
	p.filled, p.paths = 0, 0
	p.delivered += n
	p.digest = p.identity.sum
	if n == 0 {
		return nil
	}
	batch := p.batch[:n]
	p.batch = nil
	if err := p.relay.pass(batch); err != nil {
		return err
	}
	return p.room()
}

func (p *rowPages) commit() error {
	p.delivered = 0
	if p.malformed > 0 {
		p.report(p.malformed)
	}
	return nil
}

// slot is the next free row of the batch, emptied but for the memory of its slices.
func (p *rowPages) slot() *inventory.Row {
	row := &p.batch[p.filled]
	*row = inventory.Row{Score: -1, DiskPaths: row.DiskPaths[:0], RegistryPaths: row.RegistryPaths[:0]}
	return row
}

func pageChanged() error {
	f := fault.Wrap(errors.Join(connector.ErrSnapshotLost, errPageChanged), fault.CodeUpstreamUnavailable, "Microsoft's vulnerability report changed while a page of it was read again; it has to be read again from the start.")
	return &failure{fault: f, outcome: OutcomeMalformed, origin: errPageChanged}
}

func rowFields() fields[inventory.Row] {
	type row = inventory.Row
	text := func(limit int, field func(*row) *string) func(*scanner, *row) {
		last := new(memo)
		return func(s *scanner, r *row) { *field(r) = s.remembered(last, limit) }
	}
	id := func(field func(*row) *string) func(*scanner, *row) {
		read := text(maxCutID, field)
		return func(s *scanner, r *row) {
			if read(s, r); len(*field(r)) > maxID {
				*field(r) = ""
			}
		}
	}
	at := func(field func(*row) *time.Time) func(*scanner, *row) {
		last := new(memo)
		return func(s *scanner, r *row) { *field(r) = s.rememberedTime(last) }
	}
	disk, registry, yes, no := new([]memo), new([]memo), true, false
	return fields[row]{
		"deviceid":                     id(func(r *row) *string { return &r.MachineID }),
		"machineid":                    id(func(r *row) *string { return &r.MachineID }), // of the mapping, like the three names below
		"productvendor":                text(maxSoftware, func(r *row) *string { return &r.Vendor }),
		"productname":                  text(maxSoftware, func(r *row) *string { return &r.Product }),
		"productversion":               text(maxSoftware, func(r *row) *string { return &r.Version }),
		"severity":                     text(maxText, func(r *row) *string { return &r.SeverityWord }),
		"cveid":                        id(func(r *row) *string { return &r.CVE }),
		"softwarevendor":               text(maxSoftware, func(r *row) *string { return &r.Vendor }),
		"softwarename":                 text(maxSoftware, func(r *row) *string { return &r.Product }),
		"softwareversion":              text(maxSoftware, func(r *row) *string { return &r.Version }),
		"vulnerabilityseveritylevel":   text(maxText, func(r *row) *string { return &r.SeverityWord }),
		"cvssscore":                    func(s *scanner, r *row) { r.Score = s.between(0, 10) },
		"exploitabilitylevel":          text(maxText, func(r *row) *string { return &r.Exploitability }),
		"recommendedsecurityupdate":    text(maxText, func(r *row) *string { return &r.UpdateText }),
		"recommendedsecurityupdateid":  text(maxText, func(r *row) *string { return &r.UpdateID }),
		"recommendedsecurityupdateurl": text(maxURL, func(r *row) *string { return &r.UpdateURL }),
		"securityupdateavailable": func(s *scanner, r *row) {
			switch ready, known := s.boolean(); {
			case !known:
				r.UpdateReady = nil
			case ready:
				r.UpdateReady = &yes
			default:
				r.UpdateReady = &no
			}
		},
		"diskpaths":          func(s *scanner, r *row) { r.DiskPaths = s.texts(r.DiskPaths[:0], maxPath, disk) },
		"registrypaths":      func(s *scanner, r *row) { r.RegistryPaths = s.texts(r.RegistryPaths[:0], maxPath, registry) },
		"firstseentimestamp": at(func(r *row) *time.Time { return &r.FirstSeen }),
		"lastseentimestamp":  at(func(r *row) *time.Time { return &r.LastSeen }),
		"eventtimestamp":     at(func(r *row) *time.Time { return &r.ChangedAt }),
		"status":             func(s *scanner, r *row) { r.Change = readChange(s) },
	}
}
