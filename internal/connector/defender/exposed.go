package defender

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"pgp.internal/defender/internal/connector"
)

// exposedFilter is not among the filters that Microsoft's page "List vulnerabilities" names, yet the API takes it as observed.
const exposedFilter = "?$filter=exposedMachines%20gt%200"

// Exposed implements connector.Source. With the filter it takes a call or two; without, as many as the catalogue has pages.
func (s *source) Exposed(ctx context.Context, whole bool, yield func([]connector.Exposure) error) error {
	first := s.conn.api + pathVulnerabilities
	err := s.exposed(ctx, first+exposedFilter, yield)
	var f *failure
	if !errors.As(err, &f) || f.status != http.StatusBadRequest {
		return toldFault(err)
	}
	if !whole {
		return errors.Join(connector.ErrNotTold, toldFault(err))
	}
	s.conn.cfg.Logger.WarnContext(ctx, "the filter by exposedMachines was refused, the whole catalogue is read", "failure", f)
	return toldFault(s.exposed(ctx, first, yield))
}

func (s *source) exposed(ctx context.Context, first string, yield func([]connector.Exposure) error) error {
	type exposure = connector.Exposure
	p := &listing[exposure]{
		scan: newScanner(), record: record[exposure]{fields: fields[exposure]{
			"id":              func(s *scanner, e *exposure) { e.Vulnerability = orElse(e.Vulnerability, s.id()) },
			"name":            func(s *scanner, e *exposure) { e.Vulnerability = orElse(s.id(), e.Vulnerability) },
			"exposedmachines": func(s *scanner, e *exposure) { e.Machines = s.integer() },
		}},
		keep: func(e *exposure) bool {
			e.Vulnerability = strings.ToUpper(strings.TrimSpace(e.Vulnerability))
			return e.Vulnerability != ""
		},
		yield: yield, batch: s.conn.cfg.Pages.Batch, report: s.malformed(EndpointVulnerabilities),
	}
	return s.walk(ctx, EndpointVulnerabilities, first, s.conn.cfg.Pages.MaxListBytes, p)
}
