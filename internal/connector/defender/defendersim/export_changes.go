package defendersim

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"pgp.internal/defender/internal/connector/defender/defendersim/world"
)

// changesPlace is a place in a chain of pages of the delta: the batches it covers, and where it stands in them.
type changesPlace struct {
	batches []*batch
	at      world.Cursor // in the first of them
}

// serveChanges streams SoftwareVulnerabilityChangesByMachine: all batches from the one on that contains sinceTime. A chain
// of pages ends with the batch that was the last when it began.
func (s *Simulator) serveChanges(w http.ResponseWriter, c *apiCall) *apiError {
	if c.params.filter != "" {
		return odataError("The query parameter '$filter' is not supported.")
	}
	size, linked := c.params.exportSize()
	place, refusal := s.changesFrom(c)
	if refusal != nil {
		return refusal
	}
	out := s.begin(w, c, "Collection(microsoft.windowsDefenderATP.api.DeltaAssetVulnerability)", -1)
	rest, err := out.changes(place, size)
	if err != nil {
		return nil // the client has gone
	}
	link := ""
	if linked && len(rest.batches) > 0 {
		link = s.changesLink(c, size, rest)
	}
	out.end(link)
	return nil
}

// changes writes up to size rows from a place on and returns the place after them, without batches when no row follows.
func (l *listWriter) changes(p changesPlace, size int) (rest changesPlace, err error) {
	write := func(b []byte) error {
		l.buf = append(l.buf, b...)
		l.flush()
		return l.err
	}
	for i, b := range p.batches {
		if b.delta().Empty() {
			continue
		}
		if l.rows == size {
			return changesPlace{p.batches[i:], p.at}, nil
		}
		if l.rows > 0 {
			l.buf = append(l.buf, ',')
		}
		next, written, more, err := b.delta().Rows(p.at, size-l.rows, b.at, write)
		if err != nil {
			return rest, err
		}
		l.rows, p.at = l.rows+written, next
		if more {
			return changesPlace{p.batches[i:], next}, nil
		}
	}
	return rest, nil
}

// changesFrom finds where the page begins.
func (s *Simulator) changesFrom(c *apiCall) (changesPlace, *apiError) {
	if c.params.skipToken != "" {
		return s.openChangesToken(c)
	}
	if c.params.sinceTime == "" {
		return changesPlace{}, &apiError{status: 400, code: "MissingRequiredParameter", text: "The sinceTime parameter is required."}
	}
	since, err := parseTime(c.params.sinceTime)
	if err != nil {
		return changesPlace{}, badRequest("The value '%s' of sinceTime is not a time.", c.params.sinceTime)
	}
	if since.Before(s.now().Add(-historyKept)) {
		return changesPlace{}, badRequest("sinceTime must lie within the last 14 days.")
	}
	return changesPlace{batches: c.dir.batchesSince(since)}, nil
}

func (s *Simulator) changesLink(c *apiCall, size int, p changesPlace) string {
	text := fmt.Sprintf("%d/%d/%d/%d/%d", s.now().Unix(), p.batches[0].number, p.batches[len(p.batches)-1].number, p.at.Place, p.at.Offset)
	return fmt.Sprintf("%s%s?sincetime=%s&pagesize=%d&$skiptoken=%s", c.base, c.path, url.QueryEscape(c.params.sinceTime), size,
		s.seal("delta "+c.settings.ID, text))
}

func (s *Simulator) openChangesToken(c *apiCall) (p changesPlace, refusal *apiError) {
	text, ok := s.unseal("delta "+c.settings.ID, c.params.skipToken)
	if !ok {
		return p, badSkipToken
	}
	var issued int64
	var first, last int
	if _, err := fmt.Sscanf(text, "%d/%d/%d/%d/%d", &issued, &first, &last, &p.at.Place, &p.at.Offset); err != nil {
		return p, badSkipToken
	}
	p.batches, ok = c.dir.batchesBetween(first, last)
	if !ok || s.now().Sub(time.Unix(issued, 0)) >= skipTokenLife {
		return p, badSkipToken
	}
	return p, nil
}
