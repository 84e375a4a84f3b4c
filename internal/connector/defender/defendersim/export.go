package defendersim

import (
	"crypto/hmac"
	"encoding/base64"
	"fmt"
	"net/http"

	"pgp.internal/defender/internal/connector/defender/defendersim/world"
)

const (
	exportPage    = 50000
	exportPageMax = 200000
)

// exportSize settles how many rows a page of the exports holds and whether it may carry a nextLink.
func (p params) exportSize() (size int, linked bool) {
	switch {
	case p.top >= 0:
		return min(p.top, exportPageMax), false
	case p.pageSize > 0:
		return min(p.pageSize, exportPageMax), true
	}
	return exportPage, true
}

var badSkipToken = badRequest("The $skiptoken is not valid or has expired.")

// serveExport streams SoftwareVulnerabilitiesByMachine. A chain of pages stays on the state its first page had.
func (s *Simulator) serveExport(w http.ResponseWriter, c *apiCall) *apiError {
	if c.params.filter != "" {
		return odataError("The query parameter '$filter' is not supported.")
	}
	size, linked := c.params.exportSize()
	state := c.mapped.state
	var at world.Cursor
	version := 0
	if c.params.skipToken != "" {
		var ok bool
		if version, at, ok = s.openSkipToken(c.settings.ID, c.params.skipToken); ok {
			state, ok = c.dir.kept(version, s.now())
		}
		if !ok {
			return badSkipToken
		}
	} else if linked {
		version = c.dir.keep(state, s.now())
	}
	p := exportPlace{state, at, version, size, linked}
	answer, ok := w.(*compressor)
	if !ok || !linked || s.pages == nil {
		s.writeExport(w, c, p)
		return nil
	}
	key := pageKey{state, version, size, at, c.base, c.path, answer.Header().Get("Content-Encoding")}
	if page, ok := s.pages.get(key); ok {
		apiHeaders(w.Header())
		w.WriteHeader(http.StatusOK)
		answer.replay(page)
		return nil
	}
	finish := answer.record()
	whole := s.writeExport(w, c, p)
	if page, sent := finish(); whole && sent {
		s.pages.put(key, page)
	}
	return nil
}

// exportPlace says which page of which chain.
type exportPlace struct {
	state   *world.State
	at      world.Cursor
	version int
	size    int
	linked  bool
}

// writeExport composes a page and reports whether the client stayed to its end.
func (s *Simulator) writeExport(w http.ResponseWriter, c *apiCall, p exportPlace) bool {
	out := s.begin(w, c, "Collection(microsoft.windowsDefenderATP.api.AssetVulnerability)", -1)
	out.flush()
	if out.err != nil {
		return false
	}
	next, more, err := p.state.ExportRows(p.at, p.size, func(b []byte) error { _, err := w.Write(b); return err })
	if err != nil {
		return false // the client has gone
	}
	link := ""
	if more && p.linked {
		link = fmt.Sprintf("%s%s?pagesize=%d&$skiptoken=%s", c.base, c.path, p.size, s.sealSkipToken(c.settings.ID, p.version, next))
	}
	out.end(link)
	return out.err == nil
}

// sealSkipToken packs snapshot and place, signed so that an altered token is refused.
func (s *Simulator) sealSkipToken(directoryID string, version int, at world.Cursor) string {
	return s.seal("skiptoken "+directoryID, fmt.Sprintf("%d/%d/%d", version, at.Place, at.Offset))
}

func (s *Simulator) openSkipToken(directoryID, token string) (version int, at world.Cursor, ok bool) {
	text, ok := s.unseal("skiptoken "+directoryID, token)
	if !ok {
		return 0, at, false
	}
	_, err := fmt.Sscanf(text, "%d/%d/%d", &version, &at.Place, &at.Offset)
	return version, at, err == nil
}

// seal signs a text for a purpose.
func (s *Simulator) seal(purpose, text string) string {
	return base64.RawURLEncoding.EncodeToString(append(s.mac(purpose + " " + text)[:12], text...))
}

func (s *Simulator) unseal(purpose, token string) (text string, ok bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) < 13 {
		return "", false
	}
	text = string(raw[12:])
	return text, hmac.Equal(raw[:12], s.mac(purpose + " " + text)[:12])
}
