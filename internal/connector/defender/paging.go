package defender

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
)

// pages consumes the pages of one walk.
type pages interface {
	// read decodes a page and returns its next link, empty on the last one, and how many records it held. It is called
	// again for the same page after a failure.
	read(*body) (next string, records int, err error)
	// commit ends a page that was read to its end.
	commit() error
}

// walk is the way through one list, from its first address to its end. Paging is the server's: without $top it sends next
// links.
type walk struct {
	*source
	endpoint Endpoint
	first    string
	size     int64 // most bytes of a page, decompressed
	pages    pages
	list     connector.PageList // how a log calls it
	log      connector.PageLog  // nil: none, or it has failed for this list; others are read at the same time
	get      func(context.Context, call) error
	again    leave

	address string // of the page to read next; empty behind the last one
	page    int    // its number, from 1
	seen    map[string]bool
	empty   int // pages without records in a row
}

func (s *source) walk(ctx context.Context, e Endpoint, first string, size int64, p pages) error {
	// The chain of pages of the vulnerability report belongs to one snapshot; the other lists are paged by offset.
	list := connector.PageList{Name: string(e), First: first, Snapshot: e == EndpointRows || e == EndpointChanges}
	w := &walk{
		source: s, endpoint: e, first: first, size: size, pages: p, list: list, log: s.log, get: s.get, again: s.byBudget(e), address: first, page: 1, seen: map[string]bool{first: true},
	}
	return w.run(ctx)
}

func (w *walk) run(ctx context.Context) error {
	if err := w.replay(ctx); err != nil {
		return err
	}
	for w.address != "" {
		p, err := w.fetch(ctx)
		if err != nil {
			return w.forget(ctx, chainError(w.endpoint, w.page, err))
		}
		if err := w.done(p); err != nil {
			return err
		}
		w.usage.pages.Add(1)
	}
	return nil
}

// readPage is a page that was read and names a good one behind it, or none.
type readPage struct {
	address string // of the one behind; empty for none
	empty   int    // pages without records in a row, this one included
}

// check looks at what a page says of the one behind it.
func (w *walk) check(next string, records int) (p readPage, err error) {
	if next == "" {
		return p, nil
	}
	if records == 0 {
		p.empty = w.empty + 1
	}
	if p.address, err = w.follow(w.first, next); err != nil {
		return p, err
	}
	if limits := w.conn.cfg.Pages; w.seen[p.address] || w.page >= limits.Max || p.empty > limits.MaxEmpty {
		return p, fault.Newf(fault.CodeUpstreamUnexpected, "Microsoft's list of pages does not come to an end; it was left after page %d.", w.page)
	}
	return p, nil
}

// done ends a page and goes to the one behind it.
func (w *walk) done(p readPage) error {
	if err := w.pages.commit(); err != nil {
		return err
	}
	w.address, w.empty = p.address, p.empty
	if p.address != "" {
		w.seen[p.address] = true
		w.page++
	}
	return nil
}

// fetch reads a page from Microsoft, and keeps it if there is a log and everything about the page is good, so that what is wrong with
// one costs a later attempt no more than this page. A log that fails costs only what a later attempt could have spared.
func (w *walk) fetch(ctx context.Context) (p readPage, err error) {
	kept := w.begin(ctx)
	next, encoding, records := "", "", 0
	var ids *requestIDs
	err = w.repeatBy(ctx, w.endpoint, w.conn.cfg.Retry.Tries, w.again, func(ctx context.Context) error {
		return w.get(ctx, call{endpoint: w.endpoint, address: w.address, size: w.size, kept: kept, consume: func(b *body) (err error) {
			encoding, ids = b.encoding, b.ids
			next, records, err = w.pages.read(b)
			return err
		}})
	})
	if err == nil {
		p, err = w.check(next, records)
		err = ids.told(err)
	}
	if kept == nil {
		return p, err
	}
	if err != nil {
		kept.Discard()
		return p, err
	}
	if failed := kept.Keep(next, encoding); failed != nil {
		w.conn.cfg.Logger.WarnContext(ctx, "a page could not be kept; an interrupted run will have to read the list again", "error", failed)
		w.log = nil
	}
	return p, nil
}

// chainError notes the page an error is about. It explains a chain of report pages that broke: their links belong
// to one snapshot and lapse with it. Whoever reads the report starts again from the first page.
func chainError(e Endpoint, page int, err error) error {
	var f *failure
	if !errors.As(err, &f) {
		return err
	}
	placed := *f // others may hold f: a token request serves several walks
	placed.page = page
	if (e != EndpointRows && e != EndpointChanges) || page == 1 || f.status/100 != 4 {
		return &placed
	}
	switch f.status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout, http.StatusTooManyRequests:
		return &placed
	}
	told := fault.Wrap(errors.Join(connector.ErrSnapshotLost, f.origin), fault.CodeUpstreamUnavailable, "Microsoft ended the vulnerability report in the middle of its pages; it has to be read again from the start.")
	return &failure{fault: told, status: f.status, outcome: f.outcome, page: page, origin: f.origin}
}

const maxLink = 16 << 10

// follow checks a next link. Only a link of the configured scheme, to a host of the configured cloud, to the path that
// was asked for, is followed; for any other nothing is sent and the walk fails.
func (s *source) follow(first, link string) (string, error) {
	asked, err := url.Parse(first)
	if err != nil || len(link) > maxLink {
		return "", badLink()
	}
	target, err := asked.Parse(link)
	if err != nil {
		return "", badLink()
	}
	host := canonicalHost(target)
	switch {
	case target.Scheme != asked.Scheme, target.User != nil, target.Opaque != "", target.Fragment != "",
		!s.conn.hosts[host], !strings.EqualFold(target.EscapedPath(), asked.EscapedPath()), target.RawQuery == "":
		return "", badLink()
	}
	target.Host, target.ForceQuery = host, false
	return target.String(), nil
}

func badLink() error {
	e := fault.New(fault.CodeUpstreamUnexpected, "Microsoft's answer names a next page outside the list that was asked for; it was not followed.")
	e.Remedy = "Try again; if it persists, the operator checks the configured API host and the outbound network."
	return e
}

// canonicalHost is the host as it is compared: lower case, the scheme's own port left out.
func canonicalHost(u *url.URL) string {
	host := strings.ToLower(u.Host)
	switch u.Scheme {
	case "https":
		return strings.TrimSuffix(host, ":443")
	case "http":
		return strings.TrimSuffix(host, ":80")
	}
	return host
}
