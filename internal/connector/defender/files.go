package defender

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
)

// fileWorkers is how many files are read at a time. Decoding takes a core each.
const fileWorkers = 2

// fileReport is one reading of the report from its export files: Microsoft's page "Export software vulnerabilities
// assessment per device", export via files.
type fileReport struct {
	*source
	yield func([]inventory.Row) error // one call at a time

	mu        sync.Mutex
	generated string            // names the snapshot
	addresses map[string]string // of the files, by path; their signatures run out
	read      int               // files that were read
	refused   int               // addresses that were refused as soon as they had been given
	repeats   int               // that are left for files that fail
	failed    error             // of a file that could not be
}

func (s *source) rowsFromFiles(ctx context.Context, yield func([]inventory.Row) error) error {
	var one sync.Mutex
	r := &fileReport{source: s, yield: func(rows []inventory.Row) error {
		one.Lock()
		defer one.Unlock()
		return yield(rows)
	}}
	list, err := s.exportFiles(ctx)
	if err != nil {
		return err
	}
	if len(list.files) == 0 { // also what is new may be told this way, so pages say whether there is nothing
		return &failure{fault: closedFiles(errNoFiles), outcome: OutcomeMalformed, origin: connector.ErrWayClosed}
	}
	r.generated, r.addresses = list.generated, list.addresses()
	r.repeats = repeatReserve + len(r.addresses)/10
	s.usage.files.Add(int64(len(r.addresses)))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(fileWorkers)
	for path := range r.addresses {
		group.Go(func() error {
			if ctx.Err() != nil { // of another file's failure
				return context.Cause(ctx)
			}
			return r.file(ctx, path)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if r.read == 0 && r.failed != nil {
		// Whatever was handed over of some: pages give the report whole, and who reads them starts again.
		return &failure{fault: closedFiles(r.failed), outcome: OutcomeMalformed, origin: connector.ErrWayClosed}
	}
	return nil
}

var errNoFiles = errors.New("a list of no files")

func closedFiles(err error) *fault.Error {
	told := fault.Wrap(errors.Join(connector.ErrWayClosed, err), fault.CodeUpstreamUnavailable, "None of the export files could be had from Microsoft's storage service.")
	told.Remedy = "Nothing to do if it comes from Microsoft: the report is read page by page instead. Otherwise the operator allows the way to *.blob.core.windows.net."
	return told
}

// file reads one file. One that cannot be read to its end is set aside: the others are worth having without it, and what was handed
// over of it are rows of the report all the same, also when the file has changed since.
func (r *fileReport) file(ctx context.Context, path string) error {
	p := newRowPages(r.conn.cfg.Pages.Batch, r.yield)
	defer p.relay.close() // should reading panic
	p.lines, p.report = true, r.malformed(EndpointBlob)
	w := &walk{
		source: r.source, endpoint: EndpointBlob, first: path, size: r.conn.cfg.Pages.MaxFileBytes, pages: p,
		list: connector.PageList{Name: fileList(path), First: path, Snapshot: true, Part: true}, log: r.log, get: r.get, again: r.again,
		address: path, page: 1, seen: map[string]bool{path: true},
	}
	err := w.run(ctx)
	if consumed := p.relay.end(); consumed != nil {
		return consumed
	}
	r.done(err)
	if ctx.Err() != nil || !ofOneFile(err) {
		return err
	}
	r.conn.cfg.Logger.WarnContext(ctx, "an export file could not be read and is set aside", "failure", err, "rows", p.delivered)
	r.usage.lost.Add(1)
	return nil
}

// ofOneFile tells whether an error is about the file alone, and not about the snapshot or the way to all of them.
func ofOneFile(err error) bool {
	var f *failure
	switch {
	case !errors.As(err, &f), f.all, errors.Is(err, connector.ErrWayClosed):
		return false
	case errors.Is(err, connector.ErrSnapshotLost):
		return errors.Is(err, errPageChanged)
	}
	return true
}

// again is leave to ask for a file once more. Microsoft's storage service counts no calls, so the report has repeats of its own: a tenth
// of its files, beyond the usual reserve. That a file has not been copied yet is no failure, and costs none.
func (r *fileReport) again(_ context.Context, f *failure) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !errors.Is(f, errEmptyFile) {
		if r.repeats == 0 {
			return false, nil
		}
		r.repeats--
	}
	r.usage.retries.Add(1)
	return true, nil
}

func (r *fileReport) done(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.read++
	} else {
		r.failed = err
	}
}

// fileList is what a log calls a file.
func fileList(path string) string {
	sum := sha256.Sum256([]byte(path))
	return "file-" + hex.EncodeToString(sum[:12])
}

// get reads a file from the storage service, which knows nothing of Microsoft's tokens: the address itself is the permission.
func (r *fileReport) get(ctx context.Context, c call) error {
	address, err := r.address(ctx, c.address, "")
	if err != nil {
		return err
	}
	c.address, c.file = address, true
	path := pathOf(address)
	err = r.fetchBlob(ctx, c)
	var f *failure
	if !errors.Is(err, errExpired) || !errors.As(err, &f) || r.refuses() {
		return err
	}
	if allowed, _ := r.again(ctx, f); !allowed { // it asks nobody who could fail
		return err
	}
	if c.address, err = r.address(ctx, path, address); err != nil {
		return err
	}
	if err = r.fetchBlob(ctx, c); errors.Is(err, errExpired) {
		return r.refuse(err)
	}
	return err
}

// refusedFresh is after how many addresses that were refused fresh the storage is taken to refuse all: new ones are asked for no
// more, because the list of files has a small quota.
const refusedFresh = 2

func (r *fileReport) refuses() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refused >= refusedFresh
}

// refuse counts a refusal, and closes the way if nothing was read before it was one too many.
func (r *fileReport) refuse(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refused++; r.refused < refusedFresh || r.read > 0 {
		return err
	}
	return &failure{fault: closedFiles(err), outcome: OutcomeRefused, status: http.StatusForbidden, origin: connector.ErrWayClosed}
}

// address is where a file lies now. stale is an address that is not good any more: then the list is asked for again.
func (r *fileReport) address(ctx context.Context, path, stale string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at := r.addresses[path]; at != stale {
		return at, nil
	}
	list, err := r.exportFiles(ctx)
	var f *failure
	switch {
	case errors.As(err, &f):
		renewal := *f
		renewal.all, renewal.retry = true, false // it has been repeated
		return "", &renewal
	case err != nil:
		return "", err
	}
	r.addresses = list.addresses()
	if at := r.addresses[path]; list.generated == r.generated && at != "" {
		return at, nil
	}
	told := fault.Wrap(connector.ErrSnapshotLost, fault.CodeUpstreamUnavailable, "Microsoft replaced the export files while they were read; they have to be read again from the start.")
	return "", &failure{fault: told, outcome: OutcomeMalformed, origin: connector.ErrSnapshotLost}
}

// exportList is the answer of the export: where the files are.
type exportList struct {
	files     []string
	generated string
	found     bool // the list was there
	odd       bool // it holds what is no address
}

// read takes all addresses there are: whatever were left out would count as gone.
func (l *exportList) read(s *scanner) {
	l.found = s.open('[')
	for l.found && s.more(']') {
		file := s.text(maxLink + 1)
		l.odd = l.odd || file == "" || len(file) > maxLink
		l.files = append(l.files, file)
	}
}

// addresses gives the files by path.
func (l *exportList) addresses() map[string]string {
	m := make(map[string]string, len(l.files))
	for _, f := range l.files {
		m[pathOf(f)] = f
	}
	return m
}

func pathOf(address string) string {
	path, _, _ := strings.Cut(address, "?")
	return path
}

// signedFor is how long the addresses of files are asked to be good, in hours: the longest there is.
const signedFor = "6"

func (s *source) exportFiles(ctx context.Context) (list exportList, err error) {
	scan := newScanner()
	var ids *requestIDs
	fields := fields[exportList]{
		"exportfiles":   func(s *scanner, l *exportList) { l.read(s) },
		"generatedtime": func(s *scanner, l *exportList) { l.generated = s.text(maxText) },
	}
	err = s.repeat(ctx, EndpointExportFiles, s.conn.cfg.Retry.Tries, func(ctx context.Context) error {
		return s.get(ctx, call{endpoint: EndpointExportFiles, address: s.conn.api + pathExportFiles + "?sasValidHours=" + signedFor,
			size: s.conn.cfg.Pages.MaxListBytes, consume: func(b *body) error {
				scan.reset(b, b.maxToken)
				list, ids = exportList{}, b.ids
				whole := (&record[exportList]{fields: fields}).read(scan, &list)
				switch {
				case scan.err != nil:
					return scan.broken()
				case !whole || !list.found || list.odd:
					return malformed(errNoList, "Microsoft's answer does not contain the list of export files.", true)
				case !scan.finished():
					scan.err = errTrailing
					return scan.broken()
				}
				return nil
			}})
	})
	if err != nil {
		return list, err
	}
	for _, f := range list.files {
		if err := s.conn.checkBlob(f); err != nil {
			return list, ids.told(err)
		}
	}
	return list, nil
}
