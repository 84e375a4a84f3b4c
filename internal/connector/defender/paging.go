package defender

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

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

// walk follows a list from its first address to its end. Paging is the server's: without $top it sends next links.
func (s *source) walk(ctx context.Context, e Endpoint, first string, size int64, p pages) error {
	limits := s.conn.cfg.Pages
	seen := map[string]bool{first: true}
	empty := 0
	for page, address := 1, first; ; page++ {
		var next string
		var records int
		err := s.repeat(ctx, e, s.conn.cfg.Retry.Tries, func(ctx context.Context) error {
			return s.get(ctx, e, address, size, func(b *body) (err error) {
				next, records, err = p.read(b)
				return err
			})
		})
		if err != nil {
			return chainError(e, page, err)
		}
		if err := p.commit(); err != nil {
			return err
		}
		s.usage.pages.Add(1)
		if next == "" {
			return nil
		}
		if empty++; records > 0 {
			empty = 0
		}
		if address, err = s.follow(first, next); err != nil {
			return err
		}
		if seen[address] || page >= limits.Max || empty > limits.MaxEmpty {
			return fault.Newf(fault.CodeUpstreamUnexpected, "Microsoft's list of pages does not come to an end; it was left after page %d.", page)
		}
		seen[address] = true
	}
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
	if e != EndpointRows || page == 1 || f.status/100 != 4 {
		return &placed
	}
	switch f.status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout, http.StatusTooManyRequests:
		return &placed
	}
	told := fault.Wrap(f, fault.CodeUpstreamUnavailable, "Microsoft ended the vulnerability report in the middle of its pages; it has to be read again from the start.")
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
