package defender

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"pgp.internal/defender/internal/inventory"
)

// Catalogue implements connector.Source. The list is Microsoft's whole catalogue, not only what concerns the directory.
// Should the API refuse to filter by updatedOn, everything is read. A vulnerability may be handed over more than once.
func (s *source) Catalogue(ctx context.Context, since time.Time, yield func([]inventory.Vulnerability) error) error {
	first := s.conn.api + pathVulnerabilities
	if since.IsZero() {
		return toldFault(s.catalogue(ctx, first, yield))
	}
	err := s.catalogue(ctx, first+"?$filter="+after("updatedOn", since), yield)
	var f *failure
	if errors.As(err, &f) && f.status == http.StatusBadRequest {
		s.conn.cfg.Logger.WarnContext(ctx, "the filter by updatedOn was refused, the whole catalogue is read", "failure", f)
		err = s.catalogue(ctx, first, yield)
	}
	return toldFault(err)
}

// after writes a filter by time. The documented operator is gt, and times have fractional digits, so it asks from one second
// earlier to include what happened at that very moment.
func after(property string, since time.Time) string {
	text := property + " gt " + since.UTC().Truncate(time.Second).Add(-time.Second).Format(time.RFC3339)
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}

func (s *source) catalogue(ctx context.Context, first string, yield func([]inventory.Vulnerability) error) error {
	p := &listing[inventory.Vulnerability]{
		scan: newScanner(), record: record[inventory.Vulnerability]{fields: vulnerabilityFields()},
		blank: inventory.Vulnerability{Score: -1, EPSS: -1}, keep: nameVulnerability,
		yield: yield, batch: s.conn.cfg.Pages.Batch,
		report: s.malformed(EndpointVulnerabilities),
	}
	return s.walk(ctx, EndpointVulnerabilities, first, s.conn.cfg.Pages.MaxListBytes, p)
}

// nameVulnerability settles the name, which is the key: id and name are equal wherever both were seen. While reading,
// the id waits in Title, for which the API has no property.
func nameVulnerability(v *inventory.Vulnerability) bool {
	v.Name = strings.ToUpper(strings.TrimSpace(orElse(v.Name, v.Title)))
	v.Title = ""
	return v.Name != ""
}

func vulnerabilityFields() fields[inventory.Vulnerability] {
	type vuln = inventory.Vulnerability
	const highestScore, highestProbability = 10, 1
	return fields[vuln]{
		"id":                func(s *scanner, v *vuln) { v.Title = s.id() },
		"name":              func(s *scanner, v *vuln) { v.Name = s.id() },
		"description":       func(s *scanner, v *vuln) { v.Description = s.text(maxDescription) },
		"severity":          func(s *scanner, v *vuln) { v.SeverityWord = s.text(maxText) },
		"cvssv3":            func(s *scanner, v *vuln) { v.Score = s.between(0, highestScore) },
		"cvssvector":        func(s *scanner, v *vuln) { v.Vector = s.text(maxText) },
		"epss":              func(s *scanner, v *vuln) { v.EPSS = s.between(0, highestProbability) },
		"publicexploit":     func(s *scanner, v *vuln) { v.PublicExploit = s.yes() },
		"exploitverified":   func(s *scanner, v *vuln) { v.ExploitVerified = s.yes() },
		"exploitinkit":      func(s *scanner, v *vuln) { v.ExploitInKit = s.yes() },
		"exploittypes":      func(s *scanner, v *vuln) { v.ExploitTypes = s.texts(nil, maxText, nil) },
		"exploituris":       func(s *scanner, v *vuln) { v.ExploitURIs = s.texts(nil, maxURL, nil) },
		"tags":              func(s *scanner, v *vuln) { v.Tags = s.texts(nil, maxText, nil) },
		"cvesupportability": func(s *scanner, v *vuln) { v.Supportability = s.text(maxText) },
		"publishedon":       func(s *scanner, v *vuln) { v.PublishedAt = s.moment() },
		"updatedon":         func(s *scanner, v *vuln) { v.UpdatedAt = s.moment() },
	}
}
